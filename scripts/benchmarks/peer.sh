#!/usr/bin/env bash
# Makes the optional virtual environment of scripts/bench's peers, Ultralytics and librosa. About 2 GB and a few minutes; safe to
# run twice. Needs a C++ compiler. Nothing of it is ever a dependency of the appliance.
#
#   scripts/benchmarks/peer.sh           makes .venv-peer (PEER_VENV names another place)
set -euo pipefail
cd "$(dirname "$0")/../.."
. scripts/setup.sh
venv=${PEER_VENV:-.venv-peer}
pip() { "$venv/bin/python" -m pip --disable-pip-version-check install --quiet "$@"; }

setup_apt g++ ffmpeg libgl1 libglib2.0-0
if [ ! -x "$venv/bin/python" ]; then
    python=$(find_python)
    say "making $venv with $("$python" --version)"
    "$python" -m venv "$venv"
fi
# Headers of this Python: torch compiles our operator against them.
"$venv/bin/python" -c 'import pathlib, sysconfig, sys
sys.exit(not pathlib.Path(sysconfig.get_path("include"), "Python.h").exists())' || setup_apt python3-dev

say "installing the peer"
pip setuptools ninja "onnxruntime==$(sed -n 's/^onnxruntime==\([0-9.]*\).*>=.*/\1/p' requirements.lock)" ||
    pip setuptools ninja onnxruntime
# The build for processors is small; where the index does not carry it, the ordinary one does as well.
pip torch==2.13.0+cpu 2>/dev/null || pip torch
# Without their dependencies: torchvision would bring the GPU's torch, Ultralytics a second OpenCV.
pip --no-deps torchvision==0.29.2 ultralytics==8.4.190 ultralytics-thop
pip numpy opencv-python-headless pillow pyyaml requests scipy psutil polars matplotlib onnx onnxslim paho-mqtt librosa

say "compiling its suppression of duplicate boxes"
"$venv/bin/python" scripts/benchmarks/ultralytics_peer.py check
say "the peer is ready: scripts/bench finds it"
