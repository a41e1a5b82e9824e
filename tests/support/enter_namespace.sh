#!/usr/bin/env bash
# Stands for ssh in mpirun: host 10.77.0.N is the network namespace tfd-N, with
# a host name of its own.
while [[ $1 == -* ]]; do shift; done
name=tfd-${1##*.}
shift
exec ip netns exec "$name" unshare --uts bash -c "hostname $name; $*"
