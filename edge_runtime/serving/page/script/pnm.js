// PGM and PPM files, which the service accepts and no browser shows, as PNG for the eye alone.

const HEADER = /^P([56])(?:\s|#[^\n]*\n)+(\d+)(?:\s|#[^\n]*\n)+(\d+)(?:\s|#[^\n]*\n)+(\d+)\s/;
const MOST_PIXELS = 64_000_000;

/** Return a PNG blob of a binary PGM or PPM file, or null if it is none. */
export async function pngOfPnm(file) {
  const head = new TextDecoder("latin1").decode(await file.slice(0, 1024).arrayBuffer());
  const found = HEADER.exec(head);
  if (!found) return null;
  const [channels, width, height, largest] = [found[1] === "6" ? 3 : 1, ...found.slice(2).map(Number)];
  const wide = largest > 255 ? 2 : 1; // bytes of a value; the first is the higher one
  const data = new Uint8Array(await file.slice(found[0].length).arrayBuffer());
  const pixels = width * height;
  if (pixels === 0 || pixels > MOST_PIXELS || data.length < pixels * channels * wide) return null;
  const image = new ImageData(width, height);
  for (let pixel = 0; pixel < pixels; pixel++) {
    for (let colour = 0; colour < 3; colour++) {
      image.data[4 * pixel + colour] = data[(pixel * channels + (channels === 3 ? colour : 0)) * wide];
    }
    image.data[4 * pixel + 3] = 255;
  }
  const canvas = document.createElement("canvas");
  Object.assign(canvas, { width, height });
  canvas.getContext("2d").putImageData(image, 0, 0);
  return new Promise((done) => canvas.toBlob(done, "image/png"));
}
