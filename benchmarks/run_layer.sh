#!/usr/bin/env bash
# The sparse layer beside its Python peer, in one run on one CUDA machine, as one table.
#
#   benchmarks/run_layer.sh [BIN] [OUT] [extra arguments of codmoe-bench layer]
#
# BIN: folder of codmoe-bench (default build/release/bin). OUT: folder for the logs, layer.json and table.md (default
# build/bench-layer). python3 must have PyTorch 2.11 with CUDA; the program runs on that PyTorch's libraries.
# DTYPES (default float32,bfloat16) and COMPILE=1 (adds torch.compile with CUDA graphs, minutes) widen or narrow it.
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
bin="${1:-$here/../build/release/bin}"
out="${2:-$here/../build/bench-layer}"
shift $(($# < 2 ? $# : 2))
dtypes="${DTYPES:-float32,bfloat16}"
compile="${COMPILE:-0}"
batches=1,4,8,16
mkdir -p "$out"

torch_lib="$(python3 -c 'import os, torch; print(os.path.join(os.path.dirname(torch.__file__), "lib"))')"
libraries="$torch_lib"
for folder in "$torch_lib"/../../nvidia/*/lib; do
  if [ -d "$folder" ]; then libraries="$libraries:$folder"; fi
done

LD_LIBRARY_PATH="$libraries${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}" \
  "$bin/codmoe-bench" layer --config "$here/../configs/bench/layer.yaml" --device cuda --batch "$batches" \
  --dtype "$dtypes" --json "$out/layer.json" "$@" | tee "$out/codmoe.txt"

peer_dtypes="$(sed 's/float32/fp32/; s/tf32/tf32-cl/; s/bfloat16/bf16-cl/' <<<"$dtypes")"
peer() {
  python3 "$here/peers/moe_layer.py" --batches "$batches" --dtypes "$peer_dtypes" --compile "$compile" "$@"
}
peer --modes sequential,gathered,dense,dense-c | tee "$out/peer.txt"
# The GPU's time alone: only `dense` never waits for the GPU, so only there does the delay kernel hide the host.
peer --modes dense,dense-c --queued | tee "$out/peer_queued.txt"

python3 "$here/layer_table.py" --peer "$out/peer.txt" --queued "$out/peer_queued.txt" --codmoe "$out/layer.json" |
  tee "$out/table.md"
