#!/usr/bin/env bash
# Runs a command of tfdistill in many processes, one for each GPU.
#
# One node with 8 GPUs:
#   RANKS=8 launch/mpirun.sh distill --flagfile=configs/wiki.flags
#
# Four nodes with 8 GPUs each, named in a file of lines like "10.0.0.1 slots=8",
# which see the same folders under the same names and accept ssh:
#   HOSTFILE=hosts launch/mpirun.sh distill --flagfile=configs/wiki.flags
#
# All arguments go to the command. Settings, from the environment:
#   RANKS         processes; by default one for each GPU here, or for each slot
#                 of HOSTFILE
#   HOSTFILE      nodes; by default this one alone
#   PYTHON        .venv/bin/python
#   MPIRUN        the mpirun beside PYTHON, else that of PATH
#   MPI_OPTIONS   more options of mpirun, such as
#                 "-x NCCL_SOCKET_IFNAME=ens5 -x NCCL_DEBUG=INFO"
#   DRY_RUN=1     prints the command line instead of running it
set -euo pipefail
cd "$(dirname "$0")/.."

fail() { echo "mpirun.sh: $*" >&2; exit 2; }
[ $# -gt 0 ] || fail "Which command? For instance: RANKS=8 launch/mpirun.sh distill --flagfile=configs/wiki.flags"

PYTHON=$(realpath -s "${PYTHON:-.venv/bin/python}")
if [ -z "${MPIRUN:-}" ]; then
  MPIRUN=$(dirname "$PYTHON")/mpirun
  [ -x "$MPIRUN" ] || MPIRUN=$(command -v mpirun) || fail "There is no mpirun: run make horovod, or set MPIRUN."
fi

where=()
if [ -n "${HOSTFILE:-}" ]; then
  [ -r "$HOSTFILE" ] || fail "HOSTFILE=$HOSTFILE cannot be read."
  slots=$(awk '!/^ *(#|$)/ { match($0, /slots *= *[0-9]+/); n = substr($0, RSTART, RLENGTH); sub(/.*=/, "", n); sum += n ? n : 1 }
    END { print sum + 0 }' "$HOSTFILE")
  where=(--hostfile "$HOSTFILE")
else
  slots=$(nvidia-smi --list-gpus 2>/dev/null | wc -l || true)
fi
RANKS=${RANKS:-$slots}
[[ $RANKS =~ ^[1-9][0-9]*$ ]] || fail "How many processes? There is no GPU here to count: set RANKS."
[ -n "${HOSTFILE:-}" ] || where=(--host "localhost:$RANKS")

# A node that is cut off is noticed within 40 seconds; by default it takes
# minutes. Open MPI 5 reads the first name, Open MPI 4 the other.
for setting in time=20 intvl=5 probes=4; do
  for prefix in PRTE OMPI; do
    name=${prefix}_MCA_oob_tcp_keepalive_${setting%=*}
    export "$name=${!name:-${setting#*=}}"
  done
done

root=()
[ "$(id -u)" != 0 ] || root=(--allow-run-as-root)
# What the environment says goes to the other nodes, too.
passed=()
for name in PATH LD_LIBRARY_PATH PYTHONPATH $(compgen -e | grep -E '^((HOROVOD|NCCL|CUDA|XLA)|TF_(CPP|FORCE|GPU|XLA))_' || true); do
  [ -z "${!name:-}" ] || passed+=(-x "$name")
done
# Split as the shell does, so that options can have values.
read -ra more <<<"${MPI_OPTIONS:-}"
command=("$MPIRUN" "${root[@]}" -np "$RANKS" "${where[@]}" --bind-to none --map-by slot
  "${passed[@]}" "${more[@]}" "$PYTHON" -m "tfdistill.$1" "${@:2}")

if [ "${DRY_RUN:-0}" = 1 ]; then
  printf '%q ' "${command[@]}"
  echo
  exit
fi
# Every command ends with one line of JSON on stdout. mpirun may say that all
# went well when it has lost a node, so that line has to be there.
said=$(mktemp)
trap 'rm -f "$said"' EXIT
trap '[ -n "${!:-}" ] || exit 143; kill -TERM $! 2>/dev/null || true' TERM INT
"${command[@]}" >"$said" &
# A wait that a signal ends may lose the status of the job, so it comes last.
while kill -0 $! 2>/dev/null; do sleep 0.1 || true; done
status=0
wait $! || status=$?
cat "$said"
if [ "$status" = 0 ] && ! tail -n 1 "$said" | grep -q '^{'; then
  echo "mpirun.sh: the processes ended without a result." >&2
  status=1
fi
exit "$status"
