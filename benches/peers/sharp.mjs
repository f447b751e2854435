// Runs sharp as a library: a line of tab-separated `source width format quality effort output` is a job, answered by
// `CPU-µs wall-µs stage-µs bytes`; `peak` is answered by the most memory that was resident, in KiB. `default` is sharp's own.
import { readFileSync, writeFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { createRequire } from 'node:module'

const sharp = createRequire(process.cwd() + '/')('sharp')
sharp.concurrency(1)
sharp.cache(false)

async function run(line) {
  const [source, width, format, quality, effort, output] = line.split('\t')
  const bytes = readFileSync(source)
  const options = {}
  if (quality !== 'default') options.quality = Number(quality)
  if (effort !== 'default') options.effort = Number(effort)
  const [cpu, wall] = [process.cpuUsage(), process.hrtime.bigint()]
  const resized = sharp(bytes).rotate().resize(Number(width))
  const made = await (format === 'raw' ? resized.raw() : resized.toFormat(format, options)).toBuffer()
  const { user, system } = process.cpuUsage(cpu)
  const took = Number(process.hrtime.bigint() - wall) / 1000
  writeFileSync(output, made)
  return `${user + system} ${Math.round(took)} 0 ${made.length}`
}

const peak = () => readFileSync('/proc/self/status', 'utf8').match(/VmHWM:\s*(\d+)/)[1]

for await (const line of createInterface({ input: process.stdin })) {
  console.log(line === 'peak' ? peak() : await run(line))
}
