# A disk that is full at one moment after the other: nothing that was finished is lost, and the same command goes on.
. "$(dirname "$0")/lib.sh"
small_data "$work/idx"
disk=$work/disk
mkdir "$disk"
if ! mount -t tmpfs -o size=16m tmpfs "$disk" 2>/dev/null; then
  echo "skipped: no file system may be mounted here"
  exit 0
fi
trap 'if [ "$BASHPID" = "$$" ]; then umount -l "$disk"; rm -rf "$work"; fi' EXIT
search=(--data "idx:$work/idx" --teacher none --batch 16 --time none --seeds 2 --top 1 --curriculum none --workers 1
  --config 1,1,8,0 --config 1,1,16,0 --quick-epochs 2 --distill-epochs 10 --prune-update-every 2 --qat-epochs 2)
good search "$work/alone" "${search[@]}"
refused=0
# fill KILOBYTES: so many are left.
fill() {
  local free
  free=$(df --output=avail -k "$disk" | tail -n 1)
  if [ "$free" -gt "$1" ]; then head -c "$(((free - $1) * 1024))" /dev/zero >"$disk/filler"; fi
}
for left in 60 150 250 350 450 600; do
  fill "$left"
  run search "$disk/out$left" "${search[@]}"
  if [ "$code" != 0 ]; then
    refused=$((refused + 1))
    [ "$code" = 1 ] || fail "a full disk ends a search with $code"
    [[ ${err##*$'\n'} == *"disk is full"* || ${err##*$'\n'} == *"No space left on device"* ]] ||
      fail "a full disk is not named: ${err##*$'\n'}"
  fi
  rm "$disk/filler"
  good search "$disk/out$left" "${search[@]}"
  [ "$(essence "$disk/out$left")" = "$(essence "$work/alone")" ] || fail "with $left KB left something else is found"
  rm -rf "$disk/out$left"
done
[ "$refused" -gt 1 ] || fail "the disk was full only $refused times"
finish
