/**
 * More garbage: into the supervisor's records and into the handshake; and what parsers hold of what they were given, which
 * is never a chunk, however little of it they wait on.
 */
import * as SupervisorOutput from "@effect-k8s/channels/protocol/SupervisorOutput"
import * as WebSocketFrame from "@effect-k8s/channels/protocol/WebSocketFrame"
import * as WebSocketHandshake from "@effect-k8s/channels/protocol/WebSocketHandshake"
import { assert, describe, it } from "@effect/vitest"
import { collected } from "../support/memory.ts"
import { concat, cut, hex, random, toHex, utf8 } from "./bytes.ts"
import type { Random } from "./bytes.ts"
import { must } from "./must.ts"

const count = 100_000

const nonce = "0123456789abcdef0123456789abcdef"
const mark = `\x1e${nonce}`

describe("the parser of the supervisor's records", () => {
  const words = [
    "\x1e",
    mark,
    mark.slice(0, 5),
    mark.slice(0, 32),
    `${mark}@`,
    `${mark}:`,
    `${mark}@17\n`,
    `${mark}:3\n`,
    `${mark}:n\n`,
    "@",
    ":",
    "12345678901",
    "7",
    "\n",
    "output",
    "é"
  ]
  const likeRecords = (draw: Random): Uint8Array =>
    draw.below(4) === 0
      ? draw.bytes(draw.below(64))
      : utf8(Array.from({ length: draw.below(12) }, () => words[draw.below(words.length)]!).join(""))

  const drain = (chunks: Iterable<Uint8Array>) => {
    const parser = SupervisorOutput.makeParser(nonce)
    const output: Array<Uint8Array> = []
    const groups: Array<number> = []
    let trailer: SupervisorOutput.Trailer | undefined
    for (const chunk of chunks) {
      const parsed = parser.push(chunk)
      output.push(...parsed.output.map((bytes) => bytes.slice()))
      if (parsed.processGroup !== undefined) groups.push(parsed.processGroup)
      trailer ??= parsed.trailer
    }
    return { output: toHex(concat(...output, ...parser.end())), groups, trailer }
  }

  it("takes any bytes without throwing, does not care for the cuts, and loses none but of records", () => {
    const trailer = new RegExp(`${mark}:(?:n|x|d|\\d{1,10})\n`)
    const started = new RegExp(`${mark}@\\d{1,10}\n`, "g")
    const trailers = new Set<string>()
    let groups = 0
    for (let seed = 0; seed < count; seed++) {
      const draw = random(seed)
      const bytes = likeRecords(draw)
      const name = () => `seed ${seed}: ${toHex(bytes)}`
      const whole = drain([bytes])
      const pieces = drain(cut(bytes, () => 1 + draw.below(20)))
      must(pieces.output === whole.output, name)
      must(JSON.stringify(pieces.trailer) === JSON.stringify(whole.trailer), name)
      // What is no output is a record, and what follows the trailer.
      const text = Buffer.from(bytes).toString("latin1")
      const end = trailer.exec(text)
      const before = end === null ? text : text.slice(0, end.index)
      const expected = before.replaceAll(started, "")
      must(whole.output === Buffer.from(expected, "latin1").toString("hex"), name)
      must((whole.trailer === undefined) === (end === null), name)
      trailers.add(whole.trailer?._tag ?? "none")
      groups += pieces.groups.length
    }
    assert.deepStrictEqual([...trailers].sort(), ["Exited", "NotFound", "none"])
    assert.isAbove(groups, count / 10)
  }, 180_000)

  it("holds back no more than a record of the longest kind", () => {
    let most = 0
    for (let seed = 0; seed < count / 10; seed++) {
      const bytes = likeRecords(random(seed))
      const parser = SupervisorOutput.makeParser(nonce)
      let held = 0
      for (const byte of bytes) {
        const { output, processGroup, trailer } = parser.push(Uint8Array.of(byte))
        held += 1 - output.reduce((sum, { length }) => sum + length, 0)
        if (processGroup !== undefined) held = 0
        if (trailer !== undefined) break
        must(held >= 0, () => `seed ${seed}`)
        most = Math.max(most, held)
      }
    }
    // The marker, the nonce, and a line without its end.
    assert.isAbove(most, 33)
    assert.isAtMost(most, 33 + 12)
  }, 180_000)
})

describe("the handshake", () => {
  const values = [
    undefined,
    "",
    "websocket",
    "WebSocket ",
    "Upgrade",
    "keep-alive, upgrade",
    "h2c",
    "v5.channel.k8s.io",
    "v4.channel.k8s.io, v5.channel.k8s.io",
    "v3.channel.k8s.io",
    "permessage-deflate",
    "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
    "dGhlIHNhbXBsZSBub25jZQ==",
    "13",
    "\u0000\r\n",
    "x".repeat(100_000)
  ]
  const names = [
    "upgrade",
    "connection",
    "sec-websocket-accept",
    "sec-websocket-protocol",
    "sec-websocket-extensions",
    "sec-websocket-key",
    "sec-websocket-version"
  ]
  const right: Readonly<Record<string, string>> = {
    "upgrade": "websocket",
    "connection": "Upgrade",
    "sec-websocket-accept": "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
    "sec-websocket-protocol": "v5.channel.k8s.io",
    "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
    "sec-websocket-version": "13"
  }
  // Mostly right, so that the later checks are reached.
  const drawHeaders = (draw: Random): Record<string, string | undefined> =>
    Object.fromEntries(names.map((name) => [
      name,
      draw.below(5) > 0 ? right[name] : draw.below(3) === 0
        ? Buffer.from(draw.bytes(draw.below(40))).toString("latin1")
        : values[draw.below(values.length)]
    ]))

  it("takes any answer without throwing, for a WebSocket only what is one, and keeps an excerpt of the rest", () => {
    let accepted = 0
    for (let seed = 0; seed < count; seed++) {
      const draw = random(seed)
      const headers = drawHeaders(draw)
      const status = draw.below(8) === 0 ? draw.below(600) : 101
      const offered = ["v5.channel.k8s.io", "v4.channel.k8s.io"]
      const expected = { accept: right["sec-websocket-accept"]!, subprotocols: offered }
      const result = WebSocketHandshake.checkResponse({ status, headers }, expected)
      if (result._tag === "Rejected") {
        must(result.error.message.length < 1_000, () => `seed ${seed}`)
        continue
      }
      accepted++
      assert.strictEqual(status, 101)
      assert.strictEqual(headers["sec-websocket-accept"]?.trim(), expected.accept)
      assert.include(offered, result.subprotocol)
      assert.strictEqual(headers["sec-websocket-extensions"]?.trim() ?? "", "")
    }
    assert.isAbove(accepted, count / 10)
    assert.isBelow(accepted, count / 2)
  }, 180_000)

  it("takes any request without throwing, opens for a right one only, and says what is wrong with another", () => {
    const statuses = new Set<number>()
    let opened = 0
    for (let seed = 0; seed < count; seed++) {
      const draw = random(seed)
      const entries = Object.entries(drawHeaders(draw)).flatMap(([name, value]): Array<[string, Array<string>]> =>
        value === undefined ? [] : [[name, draw.below(10) === 0 ? [value, "more"] : [value]]]
      )
      const method = draw.below(10) === 0 ? "POST" : "GET"
      const result = WebSocketHandshake.parseRequest({ method, headers: new Map(entries) })
      if (result._tag === "Refusal") {
        statuses.add(result.status)
        must(result.body.length < 200, () => `seed ${seed}`)
        continue
      }
      opened++
      assert.strictEqual(method, "GET")
      assert.lengthOf(Buffer.from(result.key, "base64"), 16)
    }
    assert.deepStrictEqual(statuses, new Set([400, 405]))
    assert.isAbove(opened, count / 10)
  }, 180_000)
})

describe("a parser that waits for more", () => {
  // Deno counts them there only.
  const collect = async (): Promise<number> => (await collected()).external

  const chunkBytes = 64 * 1024
  const parsers = 500
  // A chunk that is held, by so little as a view of one byte, is held whole.
  const mostBytes = 1024

  /** Bytes that each of many parsers holds, each of which was fed with big chunks that end so. */
  const heldBy = async (
    make: () => { readonly feed: (chunk: Uint8Array) => unknown },
    end: Uint8Array
  ): Promise<number> => {
    const before = await collect()
    const all = Array.from({ length: parsers }, () => {
      const parser = make()
      for (let i = 0; i < 2; i++) {
        const chunk = new Uint8Array(chunkBytes)
        chunk.set(end, chunkBytes - end.length)
        parser.feed(chunk)
      }
      return parser
    })
    const held = (await collect() - before) / all.length
    assert.lengthOf(all, parsers)
    return held
  }

  const records: ReadonlyArray<readonly [name: string, end: Uint8Array]> = [
    ["output", utf8("output")],
    ["the first byte of a record", utf8("\x1e")],
    ["half a nonce", utf8(mark.slice(0, 17))],
    ["half a line", utf8(`${mark}:12`)],
    ["a trailer", utf8(`${mark}:12\n`)]
  ]
  for (const [name, end] of records) {
    it(`holds no chunk that ends in ${name}`, async () => {
      const make = () => ({ feed: SupervisorOutput.makeParser(nonce).push })
      assert.isBelow(await heldBy(make, end), mostBytes)
    })
  }

  // The first chunk begins a message of 2 GiB, whose payload all of it is.
  const frames: ReadonlyArray<readonly [name: string, begin: Uint8Array, role: WebSocketFrame.Role]> = [
    ["an endless message", hex("82 7f 00000000 80000000"), "client"],
    ["an endless masked message", hex("82 ff 00000000 80000000 01020304"), "server"],
    ["an endless text", hex("81 7f 00000000 80000000"), "client"],
    ["a fragment behind another", hex("02 00 00 7f 00000000 80000000"), "client"],
    ["an unfinished ping", hex("89 7d"), "client"],
    ["an unfinished header", hex("82 7f 0000"), "client"],
    ["a violation", hex("c2 00"), "client"],
    ["a close", hex("88 00"), "client"]
  ]
  for (const [name, begin, role] of frames) {
    it(`holds no chunk of ${name}`, async () => {
      const held = await heldBy(() => {
        const decoder = WebSocketFrame.makeDecoder({ role })
        const short = name.startsWith("an unfinished")
        let first = true
        return {
          feed: (chunk) => {
            if (first) decoder.decode(begin)
            first = false
            return decoder.decode(short ? chunk.subarray(0, 1) : chunk)
          }
        }
      }, new Uint8Array(0))
      assert.isBelow(held, mostBytes)
    })
  }

  it("is what is measured: a parser that kept its last chunk would be found", async () => {
    const held = await heldBy(() => {
      const kept: Array<Uint8Array> = []
      return { feed: (chunk) => kept.splice(0, 1, chunk.subarray(0, 1)) }
    }, new Uint8Array(0))
    assert.isAbove(held, chunkBytes / 2)
  })
})
