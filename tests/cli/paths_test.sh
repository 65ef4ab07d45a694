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

# ---- outputs that cannot be: told before the work, nothing left behind
: >"$work/file"
mkdir -p "$work/taken/weights.retort" "$work/taken/model.tflite"
for command in "teacher" "distill --teacher none" "prune" "quantize"; do
  # shellcheck disable=SC2086
  set -- $command --data "$data" --config "$config" --epochs 100000 --batch 1
  bad 2 "--out: $work/file is a file where a folder is expected" "$@" --out "$work/file"
  bad 2 "--out: $work/file is a file where a folder is expected" "$@" --out "$work/file/below/it"
  bad 2 "--out: $work/taken/weights.retort is a folder where a file is to be written" "$@" --out "$work/taken"
  bad 2 "--out: it is empty where the name of a file or folder is expected" "$@" --out ""
  [ ! -e "$work/file.unfinished" ] && [ ! -e "$work/taken.unfinished" ] || fail "$command leaves its folder behind"
done
bad 2 "--logits: $work/file is a file where a folder is expected" teacher --data "$data" --epochs 100000 \
  --out "$work/x" --logits "$work/file/logits.npy"
bad 2 "--outputs: $work/file is a file where a folder is expected" eval "$odd/m.tflite" --data "$data" \
  --outputs "$work/file/o.npy"
bad 2 "--npy: it is empty where the name of a file or folder is expected" data export --npy "" --data "$data"
cp "$odd/d/weights.retort" "$work/only.retort"
export=(export "$work/only.retort" --data "$data")
bad 2 "--out: it is empty where the name of a file or folder is expected" "${export[@]}" --out ""
bad 2 "--out: $work/file is a file where a folder is expected" "${export[@]}" --out "$work/file/m.tflite"
bad 2 "--out: $work/taken is a folder where a file is to be written" "${export[@]}" --out "$work/taken"
bad 2 "--out: $work/../${work##*/}/only.retort is the model itself, which would be lost" "${export[@]}" \
  --out "$work/../${work##*/}/only.retort"
ln -s only.retort "$work/link"
bad 2 "is the model itself" "${export[@]}" --out "$work/link"
bad 2 "--out: /dev/null is not a regular file" "${export[@]}" --out /dev/null
cmp -s "$odd/d/weights.retort" "$work/only.retort" || fail "export wrote over its model"
if [ "$(id -u)" != 0 ]; then
  mkdir "$work/closed" && chmod 500 "$work/closed"
  bad 2 "--out: nothing can be written in $work/closed: Permission denied" teacher --data "$data" --out "$work/closed/a/b"
fi

# What a command reads, it does not write over.
mkdir "$work/same" && cp "$work/only.retort" "$work/same/weights.retort"
for command in "distill --teacher none" prune quantize; do
  # shellcheck disable=SC2086
  bad 2 "--out: $work/same/weights.retort is the model itself, which would be lost" $command "$work/same/weights.retort" \
    --data "$data" --out "$work/same"
done
bad 2 "--out: $work/same/weights.retort is the teacher itself, which would be lost" distill --data "$data" --config "$config" \
  --teacher "$work/same/weights.retort" --out "$work/same"
cmp -s "$work/only.retort" "$work/same/weights.retort" || fail "a command wrote over what it read"
[ ! -e "$work/same.unfinished" ] || fail "a refused command leaves its folder behind"

# ---- one command at a time for each --out
"$retort" teacher --data "$data" --config "$config" --threads 1 --epochs 100000 --out "$work/one" >/dev/null 2>&1 &
pid=$!
until [ -e "$work/one.unfinished/teacher.checkpoint" ] || ! kill -0 "$pid"; do sleep 0.01; done
bad 1 "$work/one.unfinished/.lock: is in use by another process" teacher --data "$data" --config "$config" --threads 1 \
  --epochs 100000 --out "$work/one"
bad 1 "$work/one.unfinished/.lock: is in use by another process" prune "$work/only.retort" --data "$data" --out "$work/one"
kill -KILL "$pid"
wait "$pid" 2>/dev/null
bad 2 "$work/one.unfinished: holds a stopped run of another command" teacher --data "$data" "${fast[@]}" --out "$work/one"

# ---- a limit on files' sizes is told like a full disk
code=0
(ulimit -f 4 && exec "$retort" data export --npy "$work/limited" --data "$data" >"$work/out" 2>"$work/err") || code=$?
[ "$code" = 1 ] && grep -q "^retort: $work/limited/x_train.npy: cannot be written: File too large" "$work/err" ||
  fail "ulimit -f: exit code $code, $(cat "$work/err")"

finish
