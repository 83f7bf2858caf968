#!/usr/bin/env python3
"""Load on `minke serve`: many streams at once for some time, and what the server says of itself.

    bench_serve.py MINKE MODEL [--streams 256] [--seconds 120] [--warm-up 30] [--few 16]

Prints one JSON object. Of the streams, after a warm-up that fills the cache for the first time: answers, errors (429
apart), tokens a second, the time to the first token and between two pieces (which hold several tokens where those come
fast) as a client sees them, and between two tokens as the server counts them (the end of its histogram's bucket);
resident memory in the first and last 30 seconds (median); the share of the process's CPU time that the HTTP threads took.
Then that share again with few streams, for 30 seconds. The client runs beside the server and takes its part of the cores.
"""
import argparse
import asyncio
import json
import re
import statistics
import subprocess
import time
import urllib.request


def percentile(values, share):
    values = sorted(values)
    return values[min(len(values) - 1, int(share * len(values)))] if values else None


class Load:
    """So many streams for so many seconds."""

    def __init__(self, port, arguments, streams, seconds):
        self.port, self.arguments, self.streams, self.seconds = port, arguments, streams, seconds
        self.first, self.gaps, self.answers, self.refused, self.errors, self.tokens, self.pieces = [], [], 0, 0, [], 0, 0
        self.samples = []  # of (seconds since the begin, metrics)

    async def stream(self, number):
        while time.monotonic() < self.end:
            try:
                await self.answer(number)
            except (OSError, asyncio.IncompleteReadError, ValueError) as error:
                self.errors.append(repr(error))
            number += self.streams

    async def answer(self, number):
        sampling = {} if self.arguments.temperature is None else {"temperature": self.arguments.temperature}
        body = json.dumps({**sampling, "messages": [{"role": "user", "content": f"{number} ships and whales"}], "stream": True,
                           "stream_options": {"include_usage": True}, "max_tokens": self.arguments.tokens,
                           "seed": number}).encode()
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        begin = last = time.monotonic()
        writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
                     b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        status = int((await reader.readline()).split()[1])
        seen, tokens, is_whole = 0, 0, False
        while line := await reader.readline():
            if line.startswith(b"data: [DONE]"):
                is_whole = True
            elif line.startswith(b"data: ") and b'"content":"' in line:
                now = time.monotonic()
                (self.gaps if seen else self.first).append(now - last)
                last, seen = now, seen + 1
            elif found := re.search(rb'"completion_tokens":(\d+)', line):
                tokens = int(found[1])
        writer.close()
        self.tokens += tokens
        self.pieces += seen
        self.answers += status == 200 and is_whole
        if status == 429:
            self.refused += 1
            await asyncio.sleep(0.2)
        elif status != 200 or not is_whole:
            self.errors.append(f"status {status}, {seen} pieces in {time.monotonic() - begin:.1f} s")

    async def watch(self):
        while time.monotonic() < self.end:
            metrics = await asyncio.to_thread(read_metrics, self.port)
            self.samples.append((time.monotonic() - self.begin, metrics))
            await asyncio.sleep(1)

    async def run_all(self):
        await asyncio.gather(self.watch(), *(self.stream(i) for i in range(self.streams)))

    def run(self):
        before = read_metrics(self.port)
        self.begin = time.monotonic()
        self.end = self.begin + self.seconds
        asyncio.run(self.run_all())
        self.took = time.monotonic() - self.begin
        after = read_metrics(self.port)
        self.grown = {name: value - before.get(name, 0) for name, value in after.items()}
        return self

    def http_share(self):
        return self.grown["minke_http_cpu_seconds_total"] / self.grown["minke_cpu_seconds_total"]

    def token_gap(self, share):
        """The end of the bucket that holds this share of the times between two tokens."""
        prefix = 'minke_inter_token_seconds_bucket{le="'
        buckets = [(float(name[len(prefix):-2]), count) for name, count in self.grown.items() if name.startswith(prefix)]
        total = self.grown["minke_inter_token_seconds_count"]
        return min(bound for bound, count in buckets if count >= share * total)

    def resident_mb(self, begin, end):
        return statistics.median(sample["minke_resident_bytes"] / 1e6 for at, sample in self.samples if begin <= at <= end)


def read_metrics(port):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        text = answer.read().decode()
    return {name: float(value) for name, value in re.findall(r"^(\w+(?:\{[^}]*\})?) ([-+.e0-9]+)$", text, re.M)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("minke")
    parser.add_argument("model")
    for name, value in (("streams", 256), ("seconds", 120), ("warm-up", 30), ("few", 16), ("tokens", 64),
                        ("max-sequences", 256), ("context", 512), ("threads", 1)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--temperature", type=float, help="default: the model's own")
    a = parser.parse_args()
    server = subprocess.Popen([a.minke, "--quiet", "--threads", str(a.threads), "serve", a.model, "--port", "0",
                               "--max-sequences", str(a.max_sequences), "--context", str(a.context), "--cache-tokens",
                               str(a.max_sequences * a.context), "--connections", str(a.streams + 64)],
                              stdout=subprocess.PIPE, text=True)
    try:
        port = int(server.stdout.readline())
        if a.warm_up > 0:
            Load(port, a, a.streams, a.warm_up).run()
        load = Load(port, a, a.streams, a.seconds).run()
        few = Load(port, a, a.few, 30).run()
    finally:
        server.terminate()
        server.wait(60)
    print(json.dumps({
        "streams": a.streams, "seconds": round(load.took, 1), "answers": load.answers, "refused": load.refused,
        "errors": len(load.errors), "first_errors": load.errors[:3],
        "tokens_per_second": round(load.tokens / load.took, 1),
        "first_token_p50": percentile(load.first, .5), "first_token_p99": percentile(load.first, .99),
        "between_pieces_p50": percentile(load.gaps, .5), "between_pieces_p99": percentile(load.gaps, .99),
        "between_tokens_p99_at_most": load.token_gap(.99),
        "tokens_per_piece": round(load.tokens / max(1, load.pieces), 2),
        "resident_mb_first_30s": load.resident_mb(0, 30), "resident_mb_last_30s": load.resident_mb(a.seconds - 30, a.seconds),
        "http_share_of_cpu": round(load.http_share(), 4), f"http_share_of_cpu_at_{a.few}": round(few.http_share(), 4),
        f"tokens_per_second_at_{a.few}": round(few.tokens / few.took, 1)}, indent=1))


if __name__ == "__main__":
    main()
