# The same on a pyramid of three levels, RTMDet's.
_base_ = ["mimic.py"]
mimic = {
    part: {name: value for name, value in entries.items() if not name.endswith(("_3", "_4"))}
    for part, entries in _base_.pop("mimic").items()
}
