// Runs the suite through one proxy: its origin, on loopback, and its client in this process. Prints a JSON object of test
// ids and what the suite says of each, as `cli.mjs` of the package does.
//
// Arguments: the package's directory, the proxy's URL, the origin's port, `as-it-is` or `images`, ids of tests (all, if none).
//
// `images`: what the origin answers as text under /test/ becomes a PNG whose pixels carry that text, so that the path of
// images is what is tested. A cache that makes its own picture of it writes its own head too, so
// - the fields by which the suite tells one answer of the origin from another (`Server-Request-Count` and so on) travel in
//   the pixels, and stand in the response's head again when the suite's client looks at it: a mixed-up or stale picture
//   betrays itself by what it shows;
// - originals are asked for without the visitor's fields, so the number of the request (`Req-Num`) is handed from the client
//   to the origin in this process;
// - an original that may not be shared is asked for once more, in its visitor's name: the second replaces the first in what
//   the origin remembers;
// - that all other fields arrive unchanged is asked for only where it is what a test is about;
// - GET and HEAD go to /lm/format=png/test/…, which says that an image is meant.

import http from 'node:http'
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { draw, read } from './pictures.mjs'

const [directory, proxy, port, mode, ...only] = process.argv.slice(2)
const isImages = mode === 'images'
const load = path => import(pathToFileURL(resolve(directory, path)))
// The package's modules log to standard output, which is the result's here.
console.log = console.error

// Which answer of the origin a response is.
const MARKS = ['server-request-count', 'client-request-count', 'request-numbers', 'server-now', 'server-base-url', 'capability-seen']
const requestNumbers = new Map()

const { stash } = await load('server/utils.mjs')
await startOrigin()
const { default: fetch, Response } = await load('../node-fetch/lib/index.mjs')
const { runTests, getResults } = await load('client/runner.mjs')
const { default: suites } = await load('tests/index.mjs')
const { default: surrogate } = await load('tests/surrogate-control.mjs')
const wanted = suite => ({ ...suite, tests: suite.tests.filter(({ id }) => only.length === 0 || only.includes(id)) })
await runTests([...suites, surrogate].map(wanted), isImages ? fetchPicture : fetch, false, proxy)
process.stdout.write(JSON.stringify(getResults(), null, 1) + '\n', () => process.exit())

async function startOrigin () {
  const create = http.createServer
  http.createServer = handle => {
    const server = create(isImages ? withPictures(handle) : handle)
    const { listen } = server
    server.listen = port => listen.call(server, port, '127.0.0.1')
    return server
  }
  Object.assign(process.env, { npm_config_protocol: 'http', npm_config_port: port, npm_config_pidfile: '/dev/null' })
  await load('server/server.mjs')
}

function testOf (url) {
  return /\/test\/([^/?]+)/.exec(url)?.[1]
}

function withPictures (handle) {
  return (request, response) => {
    const test = testOf(request.url)
    if (test) {
      request.headers['req-num'] ??= requestNumbers.get(test)
      const remembered = stash.get(test)
      if (remembered?.at(-1)?.request_num === Number(request.headers['req-num'])) remembered.pop()
      const { end } = response
      response.end = text => text && isPage(response) ? end.call(response, picture(response, text)) : end.call(response, text)
    }
    handle(request, response)
  }
}

// Whether there is a body in full: parts of one are left as they are.
function isPage ({ statusCode }) {
  return statusCode >= 200 && statusCode < 300 && statusCode !== 206
}

function picture (response, text) {
  const marks = MARKS.filter(name => response.hasHeader(name)).map(name => [name, String(response.getHeader(name))])
  response.setHeader('content-type', 'image/png')
  response.removeHeader('content-length')
  return draw(JSON.stringify({ text, marks }))
}

async function fetchPicture (url, init = {}) {
  const test = testOf(url)
  if (!test) return fetchState(url, init)
  const number = init.headers.find(([name]) => name === 'Req-Num')[1]
  requestNumbers.set(test, number)
  const isRead = ['GET', 'HEAD'].includes(init.method ?? 'GET')
  const response = await fetch(isRead ? url.replace('/test/', '/lm/format=png/test/') : url, init)
  const body = await response.buffer()
  const { status, statusText, headers } = response
  if (!headers.get('content-type')?.startsWith('image/') || body.length === 0) {
    return new Response(body, { status, statusText, headers })
  }
  const { text, marks } = JSON.parse(read(body))
  marks.forEach(([name, value]) => headers.set(name, value))
  return new Response(text, { status, statusText, headers })
}

async function fetchState (url, init) {
  const response = await fetch(url, init)
  if (!url.includes('/state/') || response.status !== 200) return response
  const state = JSON.parse(await response.text())
  return new Response(JSON.stringify(state.map(request => ({ ...request, response_headers: [] }))), { status: 200 })
}
