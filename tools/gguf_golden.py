"""Makes tests/golden/gguf/ with the `gguf` package: small.gguf with its description, and names.json.

  tools/gguf_golden.py

The file has a metadata value of every type and a tensor of every block format that the package can
quantise. small.json lists for each tensor its format's name, shape and SHA-256, and the metadata.
names.json lists Hugging Face's names of tensors and GGUF's, for each architecture.
"""

import hashlib
import json
import pathlib

import gguf
import numpy as np

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "tests" / "golden" / "gguf"
FORMATS = ["F32", "F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0"]
UNQUANTISED = ["Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "IQ4_NL", "IQ4_XS"]  # random bytes: only the layout counts


def add_metadata(writer: gguf.GGUFWriter) -> dict:
    writer.add_uint8("t.u8", 200)
    writer.add_int8("t.i8", -100)
    writer.add_uint16("t.u16", 60000)
    writer.add_int16("t.i16", -30000)
    writer.add_uint32("t.u32", 4000000000)
    writer.add_int32("t.i32", -2000000000)
    writer.add_uint64("t.u64", 1 << 40)
    writer.add_int64("t.i64", -(1 << 40))
    writer.add_float32("t.f32", 0.5)
    writer.add_float64("t.f64", 1e-300)
    writer.add_bool("t.bool", True)
    writer.add_string("t.string", "zwölf\n")
    writer.add_array("t.strings", ["a", "", "中"])
    writer.add_array("t.integers", [1, -2, 3])
    writer.add_array("t.numbers", [0.5, -1.25])
    return {"t.u8": 200, "t.i8": -100, "t.u16": 60000, "t.i16": -30000, "t.u32": 4000000000, "t.i32": -2000000000,
            "t.u64": 1 << 40, "t.i64": -(1 << 40), "t.f32": 0.5, "t.f64": 1e-300, "t.bool": True, "t.string": "zwölf\n",
            "t.strings": ["a", "", "中"], "t.integers": [1, -2, 3], "t.numbers": [0.5, -1.25]}


def write_names() -> None:
    linear = ["self_attn.o_proj", "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"]
    dense = linear + ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "input_layernorm", "post_attention_layernorm"]
    latent = ["q_a_proj", "q_a_layernorm", "q_b_proj", "kv_a_proj_with_mqa", "kv_a_layernorm", "kv_b_proj", "k_b_proj", "v_b_proj", "q_proj"]
    shared = [f"mlp.shared_experts.{name}_proj" for name in ("gate", "up", "down")]
    experts = [f"mlp.experts.{name}_proj" for name in ("gate", "up", "down")]
    layers = {"llama": dense, "qwen2": dense, "qwen3": dense + ["self_attn.q_norm", "self_attn.k_norm"],
              "deepseek2": linear + [f"self_attn.{name}" for name in latent] + shared + experts + ["mlp.gate", "input_layernorm", "post_attention_layernorm"]}
    result = {}
    for architecture, stems in layers.items():
        kind = {name: number for number, name in gguf.MODEL_ARCH_NAMES.items()}[architecture]
        names = gguf.get_tensor_name_map(kind, 3)
        every = ["model.embed_tokens", "model.norm", "lm_head"] + [f"model.layers.2.{stem}" for stem in stems]
        result[architecture] = {f"{name}.weight": names.get_name(f"{name}.weight", try_suffixes=(".weight",)) for name in every}
    gate = "model.layers.2.mlp.gate.e_score_correction"
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.DEEPSEEK2, 3)
    result["deepseek2"][gate + "_bias"] = names.get_name(gate + ".bias", try_suffixes=(".weight", ".bias"))
    (FOLDER / "names.json").write_text(json.dumps(result, indent=1) + "\n")


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(5)
    writer = gguf.GGUFWriter(FOLDER / "small.gguf", "deepseek2")
    metadata = add_metadata(writer)
    tensors = {}
    for name in FORMATS + UNQUANTISED:
        kind = gguf.GGMLQuantizationType[name]
        rows = 3
        if name in UNQUANTISED:
            elements, size = gguf.GGML_QUANT_SIZES[kind]
            data = rng.integers(0, 256, (rows, 256 // elements * size), dtype=np.uint8)
        else:
            data = gguf.quants.quantize(rng.standard_normal((rows, 256)).astype(np.float32), kind)
        writer.add_tensor(f"w.{name}", data, raw_dtype=kind)
        digest = hashlib.sha256(data.tobytes()).hexdigest()
        tensors[f"w.{name}"] = {"format": name, "shape": [rows, 256], "sha256": digest}
    stacked = rng.standard_normal((2, 3, 5)).astype(np.float32)
    writer.add_tensor("stacked", stacked)
    tensors["stacked"] = {"format": "F32", "shape": [2, 3, 5], "sha256": hashlib.sha256(stacked.tobytes()).hexdigest()}
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    (FOLDER / "small.json").write_text(json.dumps({"metadata": metadata, "tensors": tensors}, indent=1) + "\n")
    write_names()


if __name__ == "__main__":
    main()
