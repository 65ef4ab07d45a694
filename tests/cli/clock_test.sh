# Clocks are set while a search runs on several workers: on a worker's machine, on the database server's. Forward, trials
# may be taken from those who are at work; back, leases last longer; what is found is the same.
. "$(dirname "$0")/lib.sh"
library=$(ls /usr/lib/*/faketime/libfaketimeMT.so.1 2>/dev/null | head -n 1)
if [ -z "$library" ]; then
  echo "skipped, nothing sets a process's clock: apt-get install faketime"
  exit 0
fi
if is_sanitized; then
  echo "skipped, a sanitizer's runtime has to be the first library"
  exit 0
fi
small_data "$work/idx"
data=(--data "idx:$work/idx")
search=("${data[@]}" --teacher none --batch 16 --time none --seeds 2 --top 2
  --config 1,1,8,0 --config 1,1,8,1,16 --config 1,1,16,0 --config 1,2,8,0
  --quick-epochs 2 --distill-epochs 3000 --prune-update-every 2 --qat-epochs 10)
good search "$work/alone" "${search[@]}" --workers 2

# The time of day of whatever runs with these is that of $work/offset later. As on a real machine, steady clocks go on.
jumping=("LD_PRELOAD=$library" FAKETIME_TIMESTAMP_FILE="$work/offset" FAKETIME_NO_CACHE=1 FAKETIME_DONT_FAKE_MONOTONIC=1
  DONT_FAKE_MONOTONIC=1)
clock() { printf '%s\n' "$1" >"$work/offset.new" && mv "$work/offset.new" "$work/offset"; }
clock +0
[ "$(env "${jumping[@]}" date +%Y)" = "$(date +%Y)" ] || fail "the clock does not begin at the time of day"
clock -9000d
[ "$(env "${jumping[@]}" date +%Y)" -lt "$(($(date +%Y) - 20))" ] || fail "the clock is not set back"
clock +0

# jumps URL NAME: a search, and a worker whose clock is set again and again.
jumps() {
  local url=$1 name=$2 searching worker offset
  local shared=(--storage "$url" --study clocks --lease 2)
  "$retort" search "$work/$name" "${search[@]}" --workers 1 "${shared[@]}" >"$work/$name.out" 2>&1 </dev/null &
  searching=$!
  env "${jumping[@]}" "$retort" worker "${shared[@]}" "${data[@]}" --workers 1 >"$work/worker.out" 2>&1 </dev/null &
  worker=$!
  for offset in +2h -1d +40d -9000d +0; do
    sleep 0.4
    clock $offset
  done
  wait "$searching" || fail "the search on $name: $(tail -n 1 "$work/$name.out")"
  wait "$worker" || fail "the worker on $name: $(tail -n 1 "$work/worker.out")"
  grep -q '^trial [0-9]*: [0-9.]*% int8' "$work/worker.out" || fail "the worker on $name had nothing to do"
  [ "$(essence "$work/alone")" = "$(essence "$work/$name")" ] || fail "with clocks that jump $name finds something else"
  good study list "$url"
  says "clocks: 4 COMPLETE"
}
jumps "sqlite:$work/shared.db" sqlite

if start_postgres env "${jumping[@]}"; then
  jumps "$postgres" postgresql
  stop_postgres
fi
finish
