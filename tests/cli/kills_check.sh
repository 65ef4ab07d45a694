# kills_check.sh PROGRAM [KILLS]: workers of the real program, and now and then the search, are killed at random moments, 200
# times unless told otherwise. What is found is what is found alone. Takes minutes: ./dev soak kills.
. "$(dirname "$0")/lib.sh"
most=${2:-200}
small_data "$work/idx"
export TMPDIR=$work/tmp
mkdir "$TMPDIR"
RANDOM=${RETORT_SOAK_SEED:-1}
data=(--data "idx:$work/idx")
search=("${data[@]}" --teacher none --batch 16 --time none --seeds 2 --top 2 --curriculum none
  --config 1,1,8,0 --config 1,1,8,1,16 --config 1,1,16,0 --config 1,1,12,0 --config 1,2,8,0 --config 1,2,12,0
  --quick-epochs 10 --distill-epochs 2000 --prune-update-every 2 --qat-epochs 30)
good search "$work/alone" "${search[@]}" --workers 2
alone=$(essence "$work/alone")

begin_search() {
  "$retort" search "$work/$name" "${search[@]}" --workers 1 "${shared[@]}" >"$work/$name.out" 2>&1 </dev/null &
  searching=$!
}
# random LEAST MOST: seconds, of milliseconds.
random() {
  local milliseconds=$(($1 + (RANDOM * 32768 + RANDOM) % ($2 - $1)))
  printf '%d.%03d' $((milliseconds / 1000)) $((milliseconds % 1000))
}
kill_hard() {
  kill -KILL "$1" 2>/dev/null && kills=$((kills + 1))
  wait "$1" 2>/dev/null
}
kills=0
studies=0
while [ "$kills" -lt "$most" ] && [ "$failures" = 0 ]; do
  studies=$((studies + 1))
  name=study$studies
  shared=(--storage "sqlite:$work/$name.db" --study "$name" --lease 1)
  [ $((studies % 2)) = 0 ] && shared+=(--artefacts "$work/$name.artefacts")
  begin_search
  i=0
  while kill -0 "$searching" 2>/dev/null && [ "$kills" -lt "$most" ]; do
    i=$((i + 1))
    folder=()
    # Some come back to their folder, others are new each time.
    [ $((i % 3)) = 0 ] || folder=(--folder "$work/worker$((i % 3))")
    "$retort" worker "${shared[@]}" "${data[@]}" --workers $((1 + i % 2)) "${folder[@]}" >/dev/null 2>&1 </dev/null &
    worker=$!
    sleep "$(random 30 1500)"
    kill_hard "$worker"
    if [ $((i % 10)) = 0 ]; then
      kill_hard "$searching"
      begin_search
    fi
  done
  wait "$searching" || fail "$name: the search: $(tail -n 1 "$work/$name.out")"
  [ "$(essence "$work/$name")" = "$alone" ] || fail "$name: something else was found after $kills kills"
done
echo "$kills kills in $studies searches"
finish
