"""What a run says that it ran on."""

import os

import torch

from hf_vanilla_transformer import device


def test_hardware_is_named_in_words(monkeypatch):
    monkeypatch.setattr(device, "default_device", lambda: torch.device("cpu"))
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 1}, raising=False)
    named = device.hardware()
    assert named.startswith("2 cores of ") and len(named) > len("2 cores of ")
    assert device.hardware(processes=4) == named, "processes on one machine share its cores"

    monkeypatch.setattr(device, "default_device", lambda: torch.device("cuda"))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA H100")
    assert device.hardware() == "NVIDIA H100"
    assert device.hardware(processes=8) == "8 x NVIDIA H100"
