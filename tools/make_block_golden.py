#!/usr/bin/env python3
"""Writes tests/golden/blocks/: block formats as the `gguf` Python package reads and writes them.

    python3 tools/make_block_golden.py [FOLDER]

FORMAT.read is random blocks and then their elements as f32; the first blocks have sane scales, the
others extreme ones (zero, subnormal, largest, infinite). FORMAT.write, for formats that the package
writes, is rows of f32 and then their blocks. Both begin with two int32: how many blocks, and how
many elements. Needs numpy and gguf (made with gguf 0.19).
"""

import pathlib
import sys

import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType as Type
from gguf.quants import dequantize, quantize

# Where a block has its f16 scales, in bytes.
SCALES = {"Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0], "Q2_K": [80, 82],
          "Q3_K": [108], "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208], "IQ4_NL": [0], "IQ4_XS": [0],
          "F16": [0], "BF16": []}
WRITTEN = ["F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0"]
EXTREME = np.array([0.0, -0.0, 6e-8, -3e-6, 65504.0, -65504.0, np.inf], np.float16)


def random_blocks(name, rng):
    elements, size = GGML_QUANT_SIZES[Type[name]]
    count = 14 if elements > 1 else 200
    blocks = rng.integers(0, 256, (count, size), dtype=np.uint8)
    for at in SCALES[name]:
        sane = (rng.normal(size=count) * 0.02).astype(np.float16)
        if elements > 1:
            sane[7:] = rng.permutation(EXTREME)
        blocks[:, at:at + 2] = sane.view(np.uint8).reshape(count, 2)
    return blocks


def rows_to_write(elements, rng):
    rows = rng.normal(size=(40, max(elements, 32))).astype(np.float32)
    rows *= np.float32(10.0) ** rng.integers(-4, 4, (40, 1)).astype(np.float32)
    rows[0] = 0
    rows[1] = 1.5
    rows[2] = -2.25
    rows[3] = np.arange(rows.shape[1]) * 0.5 - 8  # ties
    rows[4, 5:] = 0
    return rows


def write(path, blocks, elements, first, second):
    path.write_bytes(np.array([blocks, elements], np.int32).tobytes() + first.tobytes() + second.tobytes())


def main():
    folder = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "tests/golden/blocks")
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(1)
    for name in SCALES:
        with np.errstate(all="ignore"):
            blocks = random_blocks(name, rng)
            values = dequantize(blocks.reshape(-1), Type[name])
            write(folder / f"{name}.read", len(blocks), values.size, blocks, values.astype(np.float32))
            if name in WRITTEN:
                rows = rows_to_write(GGML_QUANT_SIZES[Type[name]][0], rng)
                written = quantize(rows, Type[name])
                elements, _ = GGML_QUANT_SIZES[Type[name]]
                write(folder / f"{name}.write", rows.size // elements, rows.size, rows, written)


if __name__ == "__main__":
    main()
