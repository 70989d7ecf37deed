#!/bin/sh
# From a folder of videos and a table `video,caption` to a captioner of such videos.
#     sh examples/own_csv.sh clips captions.csv work
# Further words go to both trainings: `… work --epochs 5` for a first try.
set -eu
clips=$1 captions=$2 work=$3
shift 3

glrg data import table "$captions" --videos "$clips" --out "$work/data"
glrg train-encoder long-range --data "$work/data" --videos "$clips" --out "$work/words" "$@"
glrg train-encoder bundle "$work/words" --out "$work/encoder"
glrg extract "$work/data" --encoder "$work/encoder" --out "$work/data/features.h5"
glrg train --data "$work/data" --encoder "$work/encoder" --recipe world --out "$work/run" "$@"
glrg caption "$work/run" "$clips" --json > "$work/captions.json"
