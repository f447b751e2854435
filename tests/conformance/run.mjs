// Runs the suite through lightmeter in both modes and through nginx, all at once, and judges: what is not passed must stand
// in expected-passthrough.tsv or expected-images.tsv, and what stands there must not be passed. A test that surprises is run
// once more: the suite counts in seconds, and a busy machine is late at times.
//
// Arguments: the package's directory; for each of `passthrough`, `images` and `nginx`: NAME=URL=PORT of its origin.

import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

const here = dirname(fileURLToPath(import.meta.url))
const [directory, ...places] = process.argv.slice(2)
const load = path => import(pathToFileURL(resolve(directory, path)))
const { determineTestResult } = await load('lib/display.mjs')
const { default: suites } = await load('tests/index.mjs')
suites.push((await load('tests/surrogate-control.mjs')).default)
const tests = suites.flatMap(suite => suite.tests).filter(test => !test.browser_only)

const LEAST_REQUIRED = 0.95
const KINDS = ['required', 'optimal', 'check']
const PASSED = ['pass', 'yes']
// The suite's own signs, in words. A `check` asks what a cache does; no answer is wrong.
const SIGNS = {
  '✅': 'pass', '⛔️': 'fail', '⚠️': 'fail', Y: 'yes', N: 'no', '🔹': 'setup', '⁉️': 'harness', '⚪️': 'dependency', '↻': 'retry', '-': 'untested'
}

const subjects = await Promise.all(places.map(async place => {
  const [name, proxy, port] = place.split('=')
  const subject = { name, proxy, port, expected: expectations(name), results: {} }
  await run(subject, [])
  const surprises = subject.expected ? unexpected(subject) : tests.filter(test => !PASSED.includes(outcome(subject, test)))
  if (surprises.length > 0) await run(subject, surprises.map(test => test.id))
  return subject
}))
report()

function expectations (name) {
  if (name === 'nginx') return null
  const file = resolve(here, `expected-${name}.tsv`)
  const rows = readFileSync(file, 'utf8').split('\n').filter(line => line && !line.startsWith('#')).map(line => line.split('\t'))
  for (const [id, , reason] of rows) {
    if (!tests.some(test => test.id === id)) throw new Error(`${file}: the suite has no test ${id}`)
    if (!reason) throw new Error(`${file}: ${id} has no reason`)
  }
  return new Map(rows)
}

// Adds the results of these tests, all if none are named.
function run (subject, ids) {
  const mode = subject.name === 'images' ? 'images' : 'as-it-is'
  const script = [resolve(here, 'suite.mjs'), directory, subject.proxy, subject.port, mode, ...ids]
  const child = spawn(process.execPath, ['--no-warnings', ...script], { stdio: ['ignore', 'pipe', 'pipe'] })
  let [output, log] = ['', '']
  child.stdout.on('data', piece => { output += piece })
  child.stderr.on('data', piece => { log += piece })
  return new Promise((resolve, reject) => child.on('close', code => {
    if (code !== 0) return reject(new Error(`the suite failed with ${subject.name}:\n${log}`))
    Object.assign(subject.results, JSON.parse(output))
    resolve()
  }))
}

function outcome ({ results }, test) {
  return SIGNS[determineTestResult(suites, test.id, results)[2]]
}

function unexpected (subject) {
  return tests.filter(test => {
    const seen = outcome(subject, test)
    const expected = subject.expected.get(test.id)
    return expected ? seen !== expected : !PASSED.includes(seen)
  })
}

function score (subject, kind) {
  const ofKind = tests.filter(test => (test.kind ?? 'required') === kind)
  return { passed: ofKind.filter(test => PASSED.includes(outcome(subject, test))).length, all: ofKind.length }
}

function report () {
  console.log(''.padEnd(14) + KINDS.map(kind => kind.padStart(12)).join(''))
  for (const subject of subjects) {
    const scores = KINDS.map(kind => score(subject, kind)).map(({ passed, all }) => `${passed} / ${all}`.padStart(12))
    console.log(subject.name.padEnd(14) + scores.join(''))
  }
  const complaints = subjects.filter(subject => subject.expected).flatMap(surprises).concat(missedBars())
  complaints.forEach(complaint => console.log(complaint))
  process.exitCode = complaints.length > 0 ? 1 : 0
}

// Rows as they would stand in the list of what is expected, but for the reason: that is a person's to find.
function surprises (subject) {
  return unexpected(subject).map(test => {
    const seen = outcome(subject, test)
    if (PASSED.includes(seen)) return `${subject.name}: ${test.id} is ${seen} now: take it off the list`
    const said = subject.results[test.id]?.[1] ?? ''
    return `${subject.name}: unexpected\t${test.id}\t${seen}\t${test.kind ?? 'required'}: ${said}`
  })
}

function missedBars () {
  const [ours, nginx] = ['passthrough', 'nginx'].map(name => subjects.find(subject => subject.name === name))
  const behind = ['required', 'optimal'].filter(kind => score(ours, kind).passed <= score(nginx, kind).passed)
  const missed = behind.map(kind => `passthrough passes no more ${kind} tests than nginx`)
  const { passed, all } = score(ours, 'required')
  if (passed < all * LEAST_REQUIRED) missed.push(`passthrough passes less than ${LEAST_REQUIRED * 100} % of the required tests`)
  return missed
}
