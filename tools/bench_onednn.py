#!/usr/bin/env python3
"""Matrix products of `minke bench gemm` beside oneDNN's, shape by shape.

    tools/bench_onednn.py [--preset 12m|107m] [--threads N] [--minke build/release/minke] [--json]

Downloads oneDNN (the packages onednn and onednn-devel and what they need) into build/onednn with pip the first
time, compiles tools/onednn_gemm.cc against it, and runs both programs in turns. oneDNN gets its weights in the
layout that it chooses itself or as plain rows, whichever is faster, reordered beforehand; experts run one after the
other, as it has no grouped product. Where the processor has no instructions for bf16, oneDNN has no such product and
multiplies f32; Minke's operands are bf16 all the same.
"""
import argparse
import json
import math
import os
import pathlib
import subprocess
import sys
import zipfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
FOLDER = ROOT / "build" / "onednn"
KINDS = {"forward": "forward_flops", "input": "input_gradient_flops", "weight": "weight_gradient_flops"}


def prepare():
    """Returns the compiled program and the environment that it needs."""
    packages = FOLDER / "packages"
    if not packages.exists():
        wheels = FOLDER / "wheels"
        subprocess.run([sys.executable, "-m", "pip", "download", "-q", "-d", wheels, "onednn", "onednn-devel"],
                       check=True)
        for wheel in wheels.glob("*.whl"):
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(packages)
    libraries = sorted({str(path.parent) for path in packages.glob("*.data/data/lib/*.so*")})
    headers = next(packages.glob("onednn_devel*/data/include"))
    onednn = next(packages.glob("onednn-*/data/lib"))
    program = FOLDER / "onednn_gemm"
    source = ROOT / "tools" / "onednn_gemm.cc"
    if not program.exists() or program.stat().st_mtime < source.stat().st_mtime:
        subprocess.run(["c++", "-std=c++20", "-O2", f"-I{headers}", source, "-o", program, f"-L{onednn}", "-l:libdnnl.so",
                        "-Wl,--allow-shlib-undefined"], check=True)
    # The packages' oneDNN runs on the CPU through OpenCL, whose driver must be named.
    driver = next(packages.glob("intel_opencl_rt*/data/lib/libintelocl.so"))
    environment = dict(os.environ, LD_LIBRARY_PATH=":".join(libraries), OCL_ICD_FILENAMES=str(driver))
    return program, environment


def run_onednn(program, environment, dtype, products, threads):
    lines = "".join(f"{kind} {p['rows']} {p['in']} {p['out']} {p['groups']}\n" for p in products for kind in KINDS)
    cores = sorted(os.sched_getaffinity(0))[:threads]
    command = ["taskset", "-c", ",".join(map(str, cores)), program, dtype]
    output = subprocess.run(command, input=lines, env=environment, check=True, text=True, stdout=subprocess.PIPE).stdout
    rates = iter(map(float, output.split()))
    return [{kind: next(rates) for kind in KINDS} for _ in products]


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--preset", default="12m")
    arguments.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    arguments.add_argument("--minke", default=ROOT / "build/release/minke")
    arguments.add_argument("--json", action="store_true")
    a = arguments.parse_args()
    program, environment = prepare()
    command = [a.minke, "--threads", str(a.threads), "bench", "gemm", "--preset", a.preset, "--json"]
    minke = json.loads(subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE).stdout)
    products = minke["products"]
    dtype = "bf16" if minke["isa"] in ("avx512_bf16", "amx") else "f32"
    peer = run_onednn(program, environment, dtype, products, a.threads)
    rows, ratios = [], []
    for product, rates in zip(products, peer):
        for kind, key in KINDS.items():
            ratio = product[key] / rates[kind]
            large = min(product["rows"], product["in"], product["out"]) >= 256
            ratios += [ratio] if large else []
            rows.append({"name": product["name"], "kind": kind, "rows": product["rows"], "in": product["in"],
                         "out": product["out"], "groups": product["groups"], "minke_flops": product[key],
                         "onednn_flops": rates[kind], "ratio": ratio, "large": large})
    mean = math.exp(sum(map(math.log, ratios)) / max(1, len(ratios)))
    if a.json:
        print(json.dumps({"threads": a.threads, "preset": a.preset, "onednn_dtype": dtype, "products": rows, "mean_ratio_of_large": mean}))
        return
    print(f"oneDNN in {dtype}")
    print(f"{'product':18} {'kind':8} {'rows':>5} {'in':>5} {'out':>5} {'groups':>6} {'minke':>10} {'oneDNN':>10} {'ratio':>6}")
    for r in rows:
        print(f"{r['name']:18} {r['kind']:8} {r['rows']:5} {r['in']:5} {r['out']:5} {r['groups']:6} "
              f"{r['minke_flops'] / 1e9:7.0f} GF {r['onednn_flops'] / 1e9:7.0f} GF {r['ratio']:6.2f}")
    print(f"geometric mean of the ratios where all dimensions are at least 256: {mean:.2f}")


if __name__ == "__main__":
    main()
