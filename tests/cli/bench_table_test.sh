# What ./dev bench makes of measurements: bench/table.py and bench/notebook_search.py on a few made up here.
. "$(dirname "$0")/lib.sh"
command -v python3 >/dev/null || { echo "skipped: no python3"; exit 0; }
bench=$(dirname "$0")/../../bench
code=0

row() {  # FRAMEWORK NET BATCH PROCESSES THREADS PRECISION VARIANT PARAMETERS IMAGES_PER_SECOND
  printf '{"framework": "%s", "net": "%s", "batch": %s, "processes": %s, "threads": %s, "precision": "%s", ' "${@:1:6}"
  printf '"variant": "%s", "parameters": %s, "images_per_second": %s}\n' "${@:7}"
}
ours() {  # NET PARAMETERS IMAGES_PER_SECOND
  printf '{"net": "%s", "parameters": %s, "images_per_second": %s, "threads": 2, "fma_fraction": 0.5, "instruction_set": "AVX2", ' "$@"
  printf '"peak_gflops": 200, "bfloat16_peak_gflops": null}\n'
}
has() { [[ $out == *"$1"* ]] || { printf '%s\n' "$out" >"$work/out"; fail "expected «$1»"; }; }

{ printf '['; ours s11_16 330 60000; printf ','; ours ds5 100 700; printf ']'; } >"$work/retort.json"
{ printf '['; ours s11_16 330 90000; printf ']'; } >"$work/retort-bfloat16.json"
{ row keras s11_16 32 1 2 float32 fit 330 5000; row keras s11_16 128 2 1 float32 steps 330 10000; } >"$work/keras.jsonl"
{ row pytorch s11_16 32 1 2 float32 eager 330 8000; row pytorch s11_16 32 1 2 bfloat16 eager 330 12000; } >"$work/pytorch.jsonl"
out=$(python3 "$bench/table.py" "$work" 2>&1)
has " (AVX2), "
has "| s11_16 | 10,000 (batch 128, 2 × 1 thread, steps) | 8,000 (batch 32, 1 × 2 threads) | 60,000 | 50 % | 6.00× | 12,000 (batch 32, 1 × 2 threads) | 90,000 | 9.00× | 6× |"
has "| ds5 | – | – | 700 | 50 % | – | – | – | – | – |"
has "steps_per_execution): s11_16 7.50×."
[ -s "$work/table.md" ] && [ -s "$work/table.json" ] || fail "the table was not written"

row keras ds5 32 1 2 float32 fit 101 5 >>"$work/keras.jsonl"
out=$(python3 "$bench/table.py" "$work" 2>&1) && fail "networks of different sizes were compared"
has "ds5 has 100 parameters in Retort and 101 in keras"
out=$(python3 "$bench/table.py" "$work/nowhere" 2>&1) && fail "a table of nothing"
has "retort.json is missing or empty: run ./dev bench"

# 5 × 40,000 images at 100/s are 2,000 s, at 400/s 500 s; the network without dense layers stands for four twins.
{ row keras s11_16_0 32 1 2 float32 fit 330 100; row keras s11_16_1x64 32 1 2 float32 fit 1000 100; } >"$work/keras.jsonl"
{ ours s11_16_0 330 400; ours s11_16_1x64 1000 400; ours s22_32_0 1 1; } >"$work/retort-float32.jsonl"
out=$(python3 "$bench/notebook_search.py" "$work" 2>&1)
has "So far 2 of 162 networks."
has "| Keras, 5 configurations | 2.78 | 2.500 | 1.000 |"
has "| Keras, 2 networks | 1.11 | 1.000 | 0.400 |"
has "| Retort, float32, 2 networks | 0.28 | 0.250 | 0.100 |"
has "| float32 multiply-adds at the peak alone | 0.14 | 0.125 | 0.050 |"
has "Not training the 3 twins alone leaves 0.400"
has "| s11_16 | 4,000 | 1,000 | 0.25 |"

out=$(python3 "$bench/peers/torch_train.py" --nets resnet50 2>&1) && fail "an unknown network was taken"
has 'there is no network "resnet50"'

# The peers' networks are named as ours: each is known here.
for group in notebook widths; do
  names=$(cd "$bench/peers" && python3 -c "import networks; print(','.join(networks.GROUPS['$group']()))")
  good bench train --nets "$names" --help
done

finish
