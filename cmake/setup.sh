#!/usr/bin/env bash
# Sets codmoe up on a Debian (12 or later) or Ubuntu (22.04 or later) machine, and runs its demo or its tests.
#
# usage: cmake/setup.sh build|demo|test
#   build   packages, LibTorch, configure, build: programs in build/release/bin
#   demo    the same, then trains on a small synthetic set and evaluates on images it has not seen
#   test    the same, then runs the tests
#
# A second call does only what is missing. Environment:
#   CMAKE_PREFIX_PATH           your own LibTorch 2.11 or torch folder; else PyTorch 2.11.0's wheel is installed, once
#   CODMOE_CUDA_ARCHITECTURES   GPU architectures, such as 90a-real; by default this machine's GPU, or Hopper where none
#   XDG_CACHE_HOME              parent of the codmoe/ folder for LibTorch and the compiler cache (default: ~/.cache)
#   CI                          set: warnings are errors
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/codmoe
torch_version=2.11.0
build=build/release

usage() { sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}"; }
say() { printf 'setup: %s\n' "$*"; }
fail() { printf 'setup: %s\n' "$*" >&2; exit 1; }
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

install_packages() {
  command -v apt-get >/dev/null || fail "needs apt-get (Debian 12 or later, Ubuntu 22.04 or later)"
  local package missing=()
  for package in cmake ninja-build g++ ccache python3 python3-venv libopencv-dev libyaml-cpp-dev libspdlog-dev libfmt-dev \
                 libcli11-dev libgtest-dev nlohmann-json3-dev; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
  done
  [ "${#missing[@]}" = 0 ] && return
  say "installing packages: ${missing[*]}"
  as_root apt-get update -qq
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

# make_venv NAME DISTRIBUTION REQUIREMENT…: a virtual environment in the cache, put in place whole or not at all.
make_venv() {
  local place=$cache/$1 distribution=$2 partial
  shift 2
  mkdir -p "$cache"
  exec 9>"$place.lock"
  flock 9  # another clone may be at it
  # pip writes RECORD last, so a folder without it is the rest of an installation that was cut off.
  if ! compgen -G "$place/lib/python3*/site-packages/$distribution.dist-info/RECORD" >/dev/null; then
    partial=$(mktemp -d "$place.partial.XXXXXX")
    say "installing $* into $place"
    if ! { python3 -m venv "$partial" && "$partial/bin/python" -m pip install -q --disable-pip-version-check "$@"; }; then
      rm -rf "$partial"
      fail "could not install $*"
    fi
    rm -rf "$place"
    mv "$partial" "$place"
  fi
  exec 9>&-
}

has_own_libtorch() {
  local prefix folder IFS=:
  for prefix in ${CMAKE_PREFIX_PATH:-}; do
    for folder in "$prefix" "$prefix/torch" "$prefix/libtorch" "$prefix/../.." "$prefix/../../.."; do
      [ ! -f "$folder/include/torch/headeronly/version.h" ] || return 0
    done
  done
  return 1
}

install_libtorch() {
  has_own_libtorch || make_venv "libtorch-$torch_version" "torch-$torch_version" "torch==$torch_version" numpy
}

# Ubuntu 22.04 has CMake 3.22, older than the presets need.
install_cmake() {
  local have
  have=$(cmake --version 2>/dev/null | sed -n 's/^cmake version //p')
  [ "$(printf '3.25\n%s\n' "$have" | sort -V | head -n 1)" = 3.25 ] && return
  make_venv cmake-3.31.6 cmake-3.31.6 cmake==3.31.6
  PATH=$(echo "$cache"/cmake-3.31.6/lib/python3*/site-packages/cmake/data/bin):$PATH
}

cuda_architectures() {
  local capability
  capability=$({ nvidia-smi --query-gpu=compute_cap --format=csv,noheader 2>/dev/null || true; } | sort -u | tr -d .)
  case "$capability" in
    ""|90) echo 90a-real ;;
    *) sed 's/^90$/90a/;s/$/-real/' <<<"$capability" | paste -sd ';' ;;
  esac
}

configure_and_build() {
  local options=() start memory jobs
  options+=("-DCODMOE_CUDA_ARCHITECTURES=${CODMOE_CUDA_ARCHITECTURES:-$(cuda_architectures)}")
  [ -z "${CI:-}" ] || options+=(-DCODMOE_WERROR=ON)
  mkdir -p "$build"
  cmake --preset release "${options[@]}" >"$build/configure.log" 2>&1 || { cat "$build/configure.log" >&2; fail "configure failed"; }
  # A compiler that reads LibTorch's headers takes up to 2 GB.
  memory=$(awk '/^MemAvailable/ {print int($2 / 2000000)}' /proc/meminfo)
  jobs=$(nproc)
  [ "$memory" -ge "$jobs" ] || jobs=$((memory > 1 ? memory : 1))
  say "building with $jobs jobs"
  start=$SECONDS
  ninja -C "$build" -j "$jobs"
  say "built in $((SECONDS - start)) s"
}

run_tests() {
  # One thread a test, since several tests run at once.
  OMP_NUM_THREADS=1 ctest --test-dir "$build" --output-on-failure -j "$(nproc)"
}

synth() {  # synth FOLDER COUNT SEED, unless a finished set is there
  [ -f "$1/.done" ] && return
  rm -rf "$1"
  "$build/bin/codmoe-data" synth --output "$1" --count "$2" --size 128 --seed "$3"
  touch "$1/.done"
}

run_demo() {
  local demo=build/demo
  synth $demo/data/train 200 1
  synth $demo/data/heldout 40 2
  rm -rf $demo/run
  "$build/bin/codmoe-train" --config configs/demo.yaml --output $demo/run
  "$build/bin/codmoe-eval" --checkpoint $demo/run --data heldout=$demo/data/heldout \
    --json $demo/scores.json --report $demo/run/report
  python3 - $demo/scores.json $demo/run/report <<'PYTHON'
import json, sys
scores = json.load(open(sys.argv[1]))["datasets"]["heldout"]
print(f"demo: IoU {scores['IoU']:.4f} on {scores['n']} held-out images, report: {sys.argv[2]}")
PYTHON
}

case "${1:-}" in
  build|demo|test) ;;
  -h|--help) usage; exit 0 ;;
  *) usage >&2; exit 2 ;;
esac
[ $# = 1 ] || { usage >&2; exit 2; }
cd "$root"
install_packages
install_cmake
install_libtorch
configure_and_build
case "$1" in
  demo) run_demo ;;
  test) run_tests ;;
esac
