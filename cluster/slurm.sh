#!/bin/bash
# A Ray cluster on a SLURM allocation, and the pipeline on it:
#
#   sbatch --nodes=4 --gpus-per-node=8 --cpus-per-task=96 --time=2-0 cluster/slurm.sh [options of taskonomy repro]
#
# One task per node. The project lies on a file system that all nodes see, with its environment in .venv; params.yaml says what a unit of work reserves
# (execution.kinds: a GPU, or a share of one). Stages are started on the first node; -j says how many of them feed the cluster at once.
#SBATCH --job-name=taskonomy
#SBATCH --ntasks-per-node=1
#SBATCH --exclusive
set -euo pipefail
cd "${SLURM_SUBMIT_DIR:?this script is for sbatch}"
. .venv/bin/activate
export RAY_USAGE_STATS_ENABLED=0

mapfile -t nodes < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
head=${nodes[0]}
port=$((20000 + SLURM_JOB_ID % 20000)) # jobs may share a node's network
address=$(srun --nodes=1 --ntasks=1 -w "$head" hostname --ip-address | awk '{print $1}'):$port
resources=(--num-cpus "${SLURM_CPUS_PER_TASK:-$SLURM_CPUS_ON_NODE}")
[ -z "${SLURM_GPUS_ON_NODE-}" ] || resources+=(--num-gpus "$SLURM_GPUS_ON_NODE")

# `--block` keeps each in its srun step, so that all end with the allocation.
srun --nodes=1 --ntasks=1 -w "$head" --overlap \
  ray start --head --node-ip-address "${address%:*}" --port "$port" --include-dashboard=false --disable-usage-stats "${resources[@]}" --block &
until srun --nodes=1 --ntasks=1 -w "$head" --overlap ray status --address "$address" >/dev/null 2>&1; do sleep 2; done
for node in "${nodes[@]:1}"; do
  srun --nodes=1 --ntasks=1 -w "$node" --overlap ray start --address "$address" --disable-usage-stats "${resources[@]}" --block &
done

# This script itself runs on the first node, so that is where the stages are started: a machine of the cluster.
taskonomy repro --address "$address" -j "${JOBS:-8}" "$@"
