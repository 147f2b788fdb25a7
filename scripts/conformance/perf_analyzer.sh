#!/bin/sh
# Runs Triton's perf_analyzer, unmodified, over every way it has to reach a server; exits with 1 when one of them fails.
# perf_analyzer.sh HTTP_HOST:PORT GRPC_HOST:PORT [MODEL [INPUT:SHAPE]]
# The last wheel of tritonclient that has the program is 2.45.0 (bin/perf_analyzer); it needs libb64 and libcudart.so.12.
http=$1 grpc=$2 model=${3:-digits} shape=${4:-image:1,1,28,28}
failed=0

# Latencies of a busy machine do not settle, which is no fault of the protocol: any counts as stable.
check() {
  name=$1
  shift
  if output=$(perf_analyzer -m "$model" --shape "$shape" -p 1000 -r 3 -s 999 "$@" 2>&1); then
    echo "  ok   $name: $(echo "$output" | grep -m 1 -o 'throughput: [0-9.]* infer/sec')"
  else
    echo "  FAIL $name: $(echo "$output" | tail -n 1)"
    failed=1
  fi
}

echo "perf_analyzer against $http and $grpc"
check 'HTTP, synchronous' -i http -u "$http" --concurrency-range 1:2
check 'HTTP, asynchronous' -i http -u "$http" -a --concurrency-range 4
# What it makes up are random bytes, some of them NaN, which JSON has no word for.
check 'HTTP, JSON in' -i http -u "$http" --input-data zero --input-tensor-format json
check 'HTTP, JSON both ways' -i http -u "$http" --input-data zero --input-tensor-format json --output-tensor-format json
check 'HTTP, at a rate' -i http -u "$http" --request-rate-range 50
check 'HTTP, Poisson arrivals' -i http -u "$http" --request-rate-range 50 --request-distribution poisson
check 'gRPC, synchronous' -i grpc -u "$grpc" --concurrency-range 1:2
check 'gRPC, asynchronous' -i grpc -u "$grpc" -a --concurrency-range 4
check 'gRPC, one stream' -i grpc -u "$grpc" -a --streaming --concurrency-range 4
check 'gRPC, compressed' -i grpc -u "$grpc" --grpc-compression-algorithm gzip
exit $failed
