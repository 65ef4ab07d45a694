# Where commands read and write: odd names, outputs that cannot be, one command at a time.
. "$(dirname "$0")/lib.sh"
small_data "$work/idx"
data="idx:$work/idx"
config='1 block, 1 layer, 4 filters'
fast=(--config "$config" --epochs 1 --threads 1)

# ---- names of any bytes
odd=$work/bad$'\377'
small_data "$odd"
good teacher --data "idx:$odd" "${fast[@]}" --out "$odd/t" --json
[[ $out == *$'bad\xef\xbf\xbd/t/weights.retort'* ]] || fail "the JSON is not UTF-8"
good distill "$odd/t/weights.retort" --data "idx:$odd" --teacher "$odd/t/weights.retort" --epochs 1 --out "$odd/d"
good export "$odd/d/weights.retort" --data "idx:$odd" --out "$odd/m.tflite" --json
good data export --npy "$odd/npy" --data "idx:$odd"
good eval "$odd/m.tflite" --data "npy:$odd/npy" --json
good search "$odd/s" --data "idx:$odd" --teacher "$odd/t/weights.retort" --config '1,1,4,0' --time none \
  --quick-epochs 1 --distill-epochs 1 --qat-epochs 1 --seeds 1 --json
good report "$odd/s" --json

finish
