#!/usr/bin/env python3
"""Prints size and most frequent colour of a PNG file, and how many percent of it have that colour.

    dominant_colour.py FILE        1280x800 #0a7f3c 97
"""

import struct
import sys
import zlib
from collections import Counter

CHANNELS = {2: 3, 6: 4}  # colour types RGB and RGBA


def chunks(data):
    if data[:8] != b"\x89PNG\r\n\x1a\n":
        sys.exit("not a PNG file")
    at = 8
    while at + 12 <= len(data):
        length, kind = struct.unpack(">I4s", data[at:at + 8])
        yield kind, data[at + 8:at + 8 + length]
        at += length + 12


def paeth(left, up, corner):
    guess = left + up - corner
    return min((abs(guess - left), 0, left), (abs(guess - up), 1, up),
               (abs(guess - corner), 2, corner))[2]


def unfilter(kind, line, above, step):
    """Undoes one line's filter in place; above is the line before it."""
    for i, value in enumerate(line):
        left = line[i - step] if i >= step else 0
        corner = above[i - step] if i >= step else 0
        guess = (0, left, above[i], (left + above[i]) // 2, paeth(left, above[i], corner))[kind]
        line[i] = (value + guess) & 255


def read_colours(data):
    """(width, height, Counter of RGB bytes)"""
    parts = list(chunks(data))
    width, height, depth, colour, _, _, interlaced = struct.unpack(">IIBBBBB", dict(parts)[b"IHDR"])
    if depth != 8 or colour not in CHANNELS or interlaced:
        sys.exit(f"neither RGB nor RGBA of 8 bits: depth {depth}, colour type {colour}")
    step = CHANNELS[colour]
    raw = zlib.decompress(b"".join(content for kind, content in parts if kind == b"IDAT"))
    above, colours = bytearray(width * step), Counter()
    for y in range(height):
        start = y * (width * step + 1)
        line = bytearray(raw[start + 1:start + 1 + width * step])
        unfilter(raw[start], line, above, step)
        colours.update(bytes(line[x:x + 3]) for x in range(0, width * step, step))
        above = line
    return width, height, colours


def main():
    with open(sys.argv[1], "rb") as file:
        width, height, colours = read_colours(file.read())
    [(colour, count)] = colours.most_common(1)
    print(f"{width}x{height} #{colour.hex()} {count * 100 // (width * height)}")


main()
