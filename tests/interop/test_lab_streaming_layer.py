"""A stream of the Lab Streaming Layer on this machine reaches the model."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from eegprep.errors import InputError, UsageError
from eegpt.interop import LiveModel
from eegpt.interop.live.sources import from_lsl, from_raw

pylsl = pytest.importorskip("pylsl", reason="needs the extra [stream] and liblsl", exc_type=ImportError)

NAMES = ("C3", "Cz", "O2")


def outlet(name: str, *, unit: str = "microvolts", labels: bool = True):
    info = pylsl.StreamInfo(name, "EEG", len(NAMES), 200, "float32", f"id-{name}")
    channels = info.desc().append_child("channels")
    for label in NAMES if labels else ():
        channel = channels.append_child("channel")
        channel.append_child_value("label", label)
        channel.append_child_value("unit", unit)
    return pylsl.StreamOutlet(info)


@pytest.mark.slow
def test_a_loopback_stream_gives_features(encoder, toy):
    name = "eegpt-test-stream"
    out = outlet(name)
    stop = threading.Event()
    signal = toy.eeg(1, 3, 200 * 20, 200.0)

    def send() -> None:
        start = 0
        while not stop.is_set() and start < signal.shape[1]:
            out.push_chunk(signal[:, start : start + 100].T.astype(np.float32).tolist())
            start += 100
            time.sleep(0.02)

    thread = threading.Thread(target=send, daemon=True)
    try:
        try:
            source = from_lsl(name=name, wait_s=5.0, silence_s=2.0)
        except InputError:
            pytest.skip("multicast does not reach this machine's own streams")
        assert (source.ch_names, source.sfreq_hz, source.unit) == (NAMES, 200.0, "uV")
        live = LiveModel(encoder, source.ch_names, source.sfreq_hz, unit=source.unit, recipe="as_recorded")
        thread.start()
        found = []
        for chunk in source.chunks:
            found += live.push(chunk)
            if len(found) > 5:
                break
        assert np.isfinite(found[-1].features).all()
    finally:
        stop.set()
        if thread.is_alive():
            thread.join()


def test_undescribed_streams_are_refused():
    class Info:
        def channel_count(self):
            return 2

    out = outlet("eegpt-test-bare", labels=False)
    try:
        with pytest.raises((UsageError, InputError)) as caught:
            from_lsl(name="eegpt-test-bare", wait_s=2.0)
        assert "stream" in str(caught.value)
    finally:
        del out


def test_missing_streams_are_one_error():
    with pytest.raises(InputError, match="no such stream"):
        from_lsl(name="eegpt-test-absent", wait_s=0.2)


def test_a_recording_is_a_stream_too(toy):
    source = from_raw(toy.raw(1), speed=0.0)
    chunks = list(source.chunks)
    assert source.unit == "V"
    assert sum(c.shape[1] for c in chunks) == 6000
