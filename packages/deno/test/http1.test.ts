import { assert, describe, it } from "@effect/vitest"
import * as Http1 from "../src/internal/http1.ts"

const encoder = new TextEncoder()
const decoder = new TextDecoder()

interface Answer {
  readonly status: number
  readonly headers: Http1.HeaderLines
  readonly body: string
  readonly rest: string
  readonly keepAlive: boolean
}

/** Feeds the chunks and, unless the answer has ended by itself, the end. */
const parse = (chunks: ReadonlyArray<Uint8Array>, method = "GET"): Answer => {
  const parser = new Http1.AnswerParser(method)
  const parts: Array<Http1.Part> = []
  let rest = ""
  for (const chunk of chunks) {
    if (parts.at(-1)?._tag === "End") rest += decoder.decode(chunk)
    else parts.push(...parser.push(chunk))
  }
  if (parts.at(-1)?._tag !== "End") parts.push(...parser.end())
  const [head, ...others] = parts
  assert.strictEqual(head?._tag, "Head")
  if (head?._tag !== "Head") throw new Error("unreachable")
  let body = ""
  for (const part of others) {
    if (part._tag === "Body") body += decoder.decode(part.bytes)
    if (part._tag === "End") rest = decoder.decode(part.rest) + rest
  }
  return { status: head.status, headers: head.headers, body, rest, keepAlive: parser.keepAlive }
}

/** Every way to cut the bytes in two, and all of them one by one. */
const cuts = (text: string): ReadonlyArray<ReadonlyArray<Uint8Array>> => {
  const bytes = encoder.encode(text)
  return [
    ...Array.from({ length: bytes.length + 1 }, (_, i) => [bytes.slice(0, i), bytes.slice(i)]),
    Array.from(bytes, (byte) => Uint8Array.of(byte))
  ]
}

const answers: ReadonlyArray<
  readonly [name: string, text: string, expected: Partial<Answer>, method?: string]
> = [
  [
    "with a length, and what follows it",
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: 1\r\nx-a: 2\r\n\r\nhellomore",
    {
      status: 200,
      headers: [["content-length", "5"], ["x-a", "1"], ["x-a", "2"]],
      body: "hello",
      rest: "more",
      keepAlive: true
    }
  ],
  [
    "in chunks with extensions and trailers",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\nA\r\n0123456789\r\n0\r\nX-T: 1\r\n\r\n",
    { status: 200, body: "hello0123456789", rest: "", keepAlive: true }
  ],
  ["to the end of the connection", "HTTP/1.1 200 OK\r\n\r\nall of it", { body: "all of it", keepAlive: false }],
  ["of HTTP/1.0", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", { body: "ok", keepAlive: false }],
  ["that closes", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", { keepAlive: false }],
  ["with bare line feeds and no reason", "HTTP/1.1 404 \nContent-Length: 2\n\nno", { status: 404, body: "no" }],
  [
    "after interim ones",
    "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n",
    { status: 201, headers: [["content-length", "0"]], body: "" }
  ],
  ["that upgrades", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\nearly", { status: 101, rest: "early" }],
  ["to HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n", { status: 200, body: "", keepAlive: true }, "HEAD"],
  ["to CONNECT", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nserver", { status: 200, rest: "server" }, "CONNECT"],
  ["without content", "HTTP/1.1 204 No Content\r\n\r\n", { status: 204, body: "", keepAlive: true }]
]

describe("an answer of HTTP/1.1", () => {
  for (const [name, text, expected, method] of answers) {
    it(`${name} is read whatever the chunks`, () => {
      for (const chunks of cuts(text)) {
        const answer = parse(chunks, method)
        assert.deepStrictEqual({ ...answer, ...expected }, answer)
      }
    })
  }

  it("that breaks off is broken, at whatever byte", () => {
    const text = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
    const bytes = encoder.encode(text)
    for (let length = 0; length < bytes.length; length++) {
      assert.throws(() => parse([bytes.slice(0, length)]), Http1.BrokenAnswer, undefined, `${length} bytes`)
    }
    assert.strictEqual(parse([bytes]).body, "hello")
  })

  for (
    const [name, text] of [
      ["begins otherwise", "SSH-2.0-OpenSSH_9.6\r\n"],
      ["has another version", "HTTP/2.0 200 OK\r\n\r\n"],
      ["has a line that is no header", "HTTP/1.1 200 OK\r\nno header\r\n\r\n"],
      ["has two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n12"],
      ["has a length that is none", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"],
      ["has a coding that was not asked for", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"],
      ["has a chunk without a length", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n"],
      ["has a chunk that is too long", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n"]
    ] as const
  ) {
    it(`that ${name} is not HTTP`, () => {
      for (const chunks of cuts(text)) assert.throws(() => parse(chunks), Http1.NotHttpAnswer)
    })
  }

  it("whose head has no end is not read for ever", () => {
    const parser = new Http1.AnswerParser("GET")
    assert.throws(() => {
      parser.push(encoder.encode("HTTP/1.1 200 OK\r\n"))
      for (let i = 0; i < 100_000; i++) parser.push(encoder.encode("x-a: b\r\n".repeat(64)))
    }, Http1.NotHttpAnswer)
  })
})

describe("the head of a request", () => {
  const head = (headers: Readonly<Record<string, string>>, body?: number | "chunked") =>
    decoder.decode(Http1.requestHead({ method: "POST", target: "/a?b", host: "h:1", headers, body }))

  it("has a line for each part of a value, and its own framing", () => {
    assert.strictEqual(
      head({ Host: "other", "Content-Length": "9", Accept: "x", "Impersonate-Group": "a\nb, c" }, 3),
      "POST /a?b HTTP/1.1\r\nhost: h:1\r\naccept: x\r\nimpersonate-group: a\r\nimpersonate-group: b, c\r\ncontent-length: 3\r\n\r\n"
    )
    assert.match(head({}, "chunked"), /\r\ntransfer-encoding: chunked\r\n\r\n$/)
    assert.match(head({}), /\r\ncontent-length: 0\r\n\r\n$/)
  })

  it("has a byte for each character", () => {
    const bytes = Http1.requestHead({
      method: "GET",
      target: "/",
      host: "h",
      headers: { a: "\u00c3\u00bc\u00ff" },
      body: undefined
    })
    const lines = "GET / HTTP/1.1\r\nhost: h\r\na: "
    assert.deepStrictEqual([...bytes.subarray(lines.length)], [0xc3, 0xbc, 0xff, 13, 10, 13, 10])
  })

  it("takes no name or value that would be another line, or more than a byte", () => {
    for (const headers of [{ "a: b\r\nc": "d" }, { a: "b\rc: d" }, { a: "b\0" }, { "": "b" }, { a: "\u0100" }]) {
      assert.throws(() => head(headers), Http1.InvalidRequestHead)
    }
  })
})
