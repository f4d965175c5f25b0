#!/usr/bin/env bash
# Is `fused` ever slower than `batched`? The sparse layer at several widths and map sizes on one CUDA machine, as a table.
#
#   benchmarks/run_shapes.sh [BIN] [OUT] [extra arguments of codmoe-bench layer]
#
# BIN: folder of codmoe-bench (default build/release/bin); LibTorch's libraries must be found. OUT: folder for the JSON
# files (default build/bench-shapes). DIMS, SIZES, BATCHES and DTYPES narrow it.
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
bin="${1:-$here/../build/release/bin}"
out="${2:-$here/../build/bench-shapes}"
shift $(($# < 2 ? $# : 2))
mkdir -p "$out"
for dim in ${DIMS:-160 288 320 512}; do
  for size in ${SIZES:-11 22 44}; do
    "$bin/codmoe-bench" layer --config "$here/../configs/bench/layer.yaml" --device cuda --log-level warning \
      --dispatch batched,fused --dtype "${DTYPES:-bfloat16}" --batch "${BATCHES:-1,16}" --set dim="$dim" \
      --set height="$size" --set width="$size" --json "$out/$dim-$size.json" "$@" >"$out/$dim-$size.txt"
  done
done
python3 "$here/shapes_table.py" "$out"/*.json
