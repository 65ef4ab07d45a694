# retort bench int8: numbers' sense, files out and in, and the options' sentences.
. "$(dirname "$0")/lib.sh"

good bench int8 --nets s11_16,ds16 --seconds 0.02 --write "$work/nets"
[[ $out =~ s11_16\ +[1-9][0-9,]*\ +147,616 ]] || fail "the first network's row is missing"
[[ $out =~ ds16\ +[1-9] ]] || fail "the second network's row is missing"
[ -s "$work/nets/s11_16.tflite" ] && [ -s "$work/nets/ds16.tflite" ] || fail "--write wrote no files"

good bench int8 "$work/nets/ds16.tflite" --seconds 0.02 --json
for key in framework net threads images_per_second macs judged_images judging_seconds; do
  says "\"$key\": "
done
says '"net": "ds16"'

bad 2 'there is no reference network "resnet50"; the names are s11_16' bench int8 --nets resnet50
bad 2 "--nets is without effect: files are measured instead of the reference networks" bench int8 "$work/nets/ds16.tflite" \
  --nets s11_16
bad 2 "--seconds: \"0\" is not a number from 0.01 to 3600" bench int8 --seconds 0
bad 2 "none.tflite: cannot be read" bench int8 "$work/none.tflite"

finish
