#!/bin/sh
# The pipeline as plain jobs, for whoever has neither Ray nor a shared file system: each job runs one stage in a clone of its own and sends what it has
# made to a remote of DVC (`dvc remote add -d NAME URL`) that all of them reach. The stages of one group do not need each other; groups come one after
# another, and in between dvc.lock travels by git, which says what the next jobs fetch: what their stage reads, and nothing else.
#
#   cluster/array.sh list GROUP         the stages of a group, one a line: the tasks of a job array
#   cluster/array.sh run GROUP NUMBER   in a clone: run the stage on line NUMBER (from 1), and send its results
#   cluster/array.sh collect GROUP      when all have run: their results into dvc.lock, out of the remote; commit it, and go on with the next group
#
# Groups of this project, in order: world prepare cards train transfer more; the rest takes seconds: `taskonomy repro --pull`. With SLURM:
#
#   sbatch --array=1-$(cluster/array.sh list train | wc -l) --wrap 'cluster/array.sh run train $SLURM_ARRAY_TASK_ID'
set -eu

stages() {
  dvc stage list --name-only | grep -E "^$1(@.*)?\$" || { echo "error: dvc.yaml has no stage $1, nor $1@..." >&2; exit 1; }
}

case "${1-} $#" in
  "list 2") stages "$2" ;;
  "run 3")
    names=$(stages "$2")
    stage=$(echo "$names" | sed -n "$3p")
    [ -n "$stage" ] || { echo "error: $2 has $(echo "$names" | wc -l) stages; there is no number $3" >&2; exit 1; }
    dvc repro --single-item --pull "$stage"
    dvc push --run-cache "$stage"
    ;;
  "collect 2")
    names=$(stages "$2")
    for stage in $names; do
      dvc repro --single-item --pull "$stage" # out of the run cache; a stage whose job has failed is run here
    done
    ;;
  *) sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2; exit 1 ;;
esac
