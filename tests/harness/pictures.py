"""Small pictures of pages: at most 256 colours, chosen in the browser, as PNG (RFC 2083)."""

import base64
import struct
import zlib

from playwright.async_api import Page

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PALETTE_OF_8_BITS = (8, 3, 0, 0, 0)
_REDUCE = """
async (encoded) => {
  const bytes = Uint8Array.from(atob(encoded), (one) => one.charCodeAt(0));
  const image = await createImageBitmap(new Blob([bytes], { type: "image/png" }));
  const canvas = new OffscreenCanvas(image.width, image.height);
  const drawn = canvas.getContext("2d");
  drawn.drawImage(image, 0, 0);
  const { data } = drawn.getImageData(0, 0, image.width, image.height);
  const keys = new Uint16Array(data.length / 4);
  const sums = new Map();
  for (let at = 0; at < keys.length; at += 1) {
    const [r, g, b] = [data[4 * at], data[4 * at + 1], data[4 * at + 2]];
    const key = keys[at] = ((r >> 3) << 10) | ((g >> 3) << 5) | (b >> 3);
    const sum = sums.get(key) ?? [0, 0, 0, 0];
    sums.set(key, [sum[0] + 1, sum[1] + r, sum[2] + g, sum[3] + b]);
  }
  const means = [...sums].map(([key, [n, r, g, b]]) => ({ key, n, c: [r / n, g / n, b / n] }));
  means.sort((one, other) => other.n - one.n);
  const palette = means.slice(0, 256).map((one) => one.c.map(Math.round));
  const far = (a, b) => (a[0] - b[0]) ** 2 + (a[1] - b[1]) ** 2 + (a[2] - b[2]) ** 2;
  const index = new Map(means.map((one, at) => {
    if (at < 256) return [one.key, at];
    let best = 0;
    palette.forEach((color, n) => { if (far(color, one.c) < far(palette[best], one.c)) best = n; });
    return [one.key, best];
  }));
  let text = "";
  for (const key of keys) text += String.fromCharCode(index.get(key));
  return { width: image.width, height: image.height, palette: palette.flat(), pixels: btoa(text) };
}
"""


async def picture_of(page: Page) -> bytes:
    """Take a picture of what the window shows, in few colours."""
    await page.evaluate("document.fonts.ready.then(() => true)")
    taken = await page.screenshot(animations="disabled", caret="hide")
    blank = await page.context.new_page()
    try:
        reduced = await blank.evaluate(_REDUCE, base64.b64encode(taken).decode())
    finally:
        await blank.close()
    width, height = reduced["width"], reduced["height"]
    pixels = base64.b64decode(reduced["pixels"])
    rows = b"".join(b"\0" + pixels[at : at + width] for at in range(0, len(pixels), width))
    return _SIGNATURE + b"".join(
        (
            _chunk(b"IHDR", struct.pack(">II5B", width, height, *_PALETTE_OF_8_BITS)),
            _chunk(b"PLTE", bytes(reduced["palette"])),
            _chunk(b"IDAT", zlib.compress(rows, 9)),
            _chunk(b"IEND", b""),
        )
    )


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
