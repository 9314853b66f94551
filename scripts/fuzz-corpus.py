#!/usr/bin/env python3
"""Chooses the inputs of a corpus: `fuzz-corpus.py CONTROL COUNT` prints the names of COUNT files at most.

CONTROL is what libFuzzer writes with -set_cover_merge=1 and -merge_control_file: the names of files, and which features
(places and ways through the code) each one reaches. The file that reaches the most that none before it does comes next.
"""

import sys


def read(control):
    """The files, and the features of each."""
    with open(control, encoding="utf-8") as opened:
        lines = opened.read().splitlines()
    count = int(lines[0])
    names = lines[2 : 2 + count]
    features = {}
    for line in lines[2 + count :]:
        word, *numbers = line.split()
        if word == "FT":
            features[names[int(numbers[0])]] = set(numbers[1:])
    return features


def chosen(features, count):
    """The names, the best first."""
    reached = set()
    while features and count > 0:
        # The name decides between two that are as good: the same files give the same choice.
        best = max(features, key=lambda name: (len(features[name] - reached), name))
        new = features.pop(best) - reached
        if not new:
            return
        reached |= new
        count -= 1
        yield best


if __name__ == "__main__":
    for chosen_name in chosen(read(sys.argv[1]), int(sys.argv[2])):
        print(chosen_name)
