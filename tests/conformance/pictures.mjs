// Text as a picture and back: a PNG of black and white pixels, a bit each, so that what is read from a picture is what its
// pixels say, however its file was written anew on the way.

import { deflateSync, inflateSync } from 'node:zlib'

const SIGNATURE = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a])
const LENGTH_BYTES = 2

// A square in RGB that is not compressed: whoever writes it anew makes it smaller.
export function draw (text) {
  const content = Buffer.from(text)
  const bytes = Buffer.alloc(LENGTH_BYTES + content.length)
  bytes.writeUInt16BE(content.length)
  content.copy(bytes, LENGTH_BYTES)
  const side = Math.ceil(Math.sqrt(bytes.length * 8))
  const rows = []
  for (let y = 0; y < side; y++) {
    const row = Buffer.alloc(1 + side * 3)
    for (let x = 0; x < side; x++) {
      const bit = y * side + x
      row.fill((bytes[bit >> 3] >> (7 - (bit & 7))) & 1 ? 0xff : 0, 1 + x * 3, 4 + x * 3)
    }
    rows.push(row)
  }
  const header = Buffer.alloc(13)
  header.writeUInt32BE(side, 0)
  header.writeUInt32BE(side, 4)
  header.set([8, 2, 0, 0, 0], 8)
  const data = deflateSync(Buffer.concat(rows), { level: 0 })
  return Buffer.concat([SIGNATURE, chunk('IHDR', header), chunk('IDAT', data), chunk('IEND', Buffer.alloc(0))])
}

// The text of a picture; throws where there is none.
export function read (file) {
  if (!file.subarray(0, 8).equals(SIGNATURE)) throw new Error('the body is no PNG')
  const chunks = chunksOf(file)
  const header = chunks.find(({ kind }) => kind === 'IHDR').data
  const [depth, color, , , interlaced] = header.subarray(8)
  if (interlaced) throw new Error('interlaced PNGs are not read here')
  const image = { width: header.readUInt32BE(0), height: header.readUInt32BE(4), depth, color }
  image.samples = { 0: 1, 2: 3, 3: 1, 4: 2, 6: 4 }[color]
  image.palette = chunks.find(({ kind }) => kind === 'PLTE')?.data
  const data = inflateSync(Buffer.concat(chunks.filter(({ kind }) => kind === 'IDAT').map(({ data }) => data)))
  const bits = [...rowsOf(data, image)].flatMap(row => Array.from({ length: image.width }, (_, x) => isLight(row, x, image)))
  const byte = at => bits.slice(at * 8, at * 8 + 8).reduce((value, bit) => (value << 1) | bit, 0)
  const length = (byte(0) << 8) | byte(1)
  if ((LENGTH_BYTES + length) * 8 > bits.length) throw new Error('the picture carries no text')
  return Buffer.from(Array.from({ length }, (_, at) => byte(LENGTH_BYTES + at))).toString()
}

function chunk (kind, data) {
  const bytes = Buffer.alloc(12 + data.length)
  bytes.writeUInt32BE(data.length)
  bytes.write(kind, 4, 'latin1')
  data.copy(bytes, 8)
  bytes.writeUInt32BE(crc32(bytes.subarray(4, 8 + data.length)), 8 + data.length)
  return bytes
}

function crc32 (bytes) {
  let crc = 0xffffffff
  for (const byte of bytes) {
    crc ^= byte
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1
  }
  return ~crc >>> 0
}

function chunksOf (file) {
  const chunks = []
  for (let at = 8; at + 12 <= file.length;) {
    const length = file.readUInt32BE(at)
    chunks.push({ kind: file.toString('latin1', at + 4, at + 8), data: file.subarray(at + 8, at + 8 + length) })
    at += 12 + length
  }
  return chunks
}

// Undoes the filters (PNG, 9.2).
function * rowsOf (data, { width, height, depth, samples }) {
  const stride = Math.ceil(width * samples * depth / 8)
  const step = Math.max(1, samples * depth / 8)
  let above = Buffer.alloc(stride)
  for (let y = 0; y < height; y++) {
    const filter = data[y * (stride + 1)]
    const row = Buffer.from(data.subarray(y * (stride + 1) + 1, (y + 1) * (stride + 1)))
    for (let at = 0; at < stride; at++) {
      const [left, corner] = at < step ? [0, 0] : [row[at - step], above[at - step]]
      row[at] += [0, left, above[at], (left + above[at]) >> 1, paeth(left, above[at], corner)][filter]
    }
    yield row
    above = row
  }
}

function paeth (left, above, corner) {
  const [fromLeft, fromAbove, fromCorner] = [above - corner, left - corner, left + above - 2 * corner].map(Math.abs)
  if (fromLeft <= fromAbove && fromLeft <= fromCorner) return left
  return fromAbove <= fromCorner ? above : corner
}

// Whether a pixel is lighter than half, by its first sample.
function isLight (row, x, { depth, samples, palette }) {
  const bit = x * samples * depth
  const value = depth < 8 ? (row[bit >> 3] >> (8 - depth - (bit & 7))) & ((1 << depth) - 1) : row[bit >> 3]
  const sample = palette ? palette[value * 3] : depth < 8 ? value * 255 / ((1 << depth) - 1) : value
  return sample > 127 ? 1 : 0
}
