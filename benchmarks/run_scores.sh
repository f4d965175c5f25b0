#!/usr/bin/env bash
# Trains a recipe and its variants (configs/bench/scores.txt) with several seeds, then prints their scores as one table.
#
#   benchmarks/run_scores.sh BIN OUT RECIPE [extra arguments of codmoe-train]
#
# BIN: folder of the programs. OUT: a folder a variant, kept: what is there already is not trained again, so that results
# of several calls come together in the table, OUT/scores.md. RECIPE: a file under configs/. Environment: SEEDS (default
# 0,1,2); JOBS, runs at a time on the GPU (default 1); ONLY, a pattern of names (grep).
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
bin="${1:?folder of the programs}" out="${2:?folder for the runs}" recipe="${3:?recipe}"
shift 3
seeds="${SEEDS:-0,1,2}"

train() {
  local name="$1" arguments="$2" folder
  shift 2
  folder="$out/$(tr -cs 'a-z0-9-' '_' <<<"$name" | sed 's/_*$//')"
  mkdir -p "$folder"
  echo "$name" >"$folder/name.txt"
  # shellcheck disable=SC2086  # the arguments of a line are words
  "$bin/codmoe-train" --config "$recipe" --resume auto --seeds "$seeds" --output "$folder" $arguments "$@" \
    >"$folder/log.txt" 2>&1 || echo "$name failed: $folder/log.txt" >&2
}

while IFS='|' read -r name arguments <&3; do
  name="$(sed 's/ *$//' <<<"$name")"
  while (($(jobs -rp | wc -l) >= ${JOBS:-1})); do wait -n; done
  train "$name" "$arguments" "$@" &
done 3< <(grep -v '^#' "$here/../configs/bench/scores.txt" | grep -e "${ONLY:-.}")
wait
python3 "$here/scores_table.py" "$out" | tee "$out/scores.md"
