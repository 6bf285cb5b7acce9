import * as WebSocketHandshake from "@effect-k8s/channels/protocol/WebSocketHandshake"
import { assert, describe, it } from "@effect/vitest"
import { createHash } from "node:crypto"

const key = "dGhlIHNhbXBsZSBub25jZQ=="
const accept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
const v5 = "v5.channel.k8s.io"
const v4 = "v4.channel.k8s.io"

it("the accept value of the key in RFC 6455 1.3 is the one given there", () => {
  assert.strictEqual(createHash("sha1").update(WebSocketHandshake.acceptInput(key)).digest("base64"), accept)
})

it("a request offers its subprotocols in one header line, in order", () => {
  assert.deepStrictEqual(WebSocketHandshake.requestHeaders(key, [v5, v4]), {
    "connection": "Upgrade",
    "upgrade": "websocket",
    "sec-websocket-key": key,
    "sec-websocket-version": "13",
    "sec-websocket-protocol": "v5.channel.k8s.io, v4.channel.k8s.io"
  })
})

describe("a client", () => {
  const headers = {
    "upgrade": "websocket",
    "connection": "Upgrade",
    "sec-websocket-accept": accept,
    "sec-websocket-protocol": v5
  }
  const check = (
    changes: Readonly<Record<string, string | undefined>>,
    subprotocols: ReadonlyArray<string> = [v5, v4],
    status = 101
  ) => WebSocketHandshake.checkResponse({ status, headers: { ...headers, ...changes } }, { accept, subprotocols })

  it("takes the subprotocol that the server chose", () => {
    assert.deepStrictEqual(check({}), { _tag: "Accepted", subprotocol: v5 })
    assert.deepStrictEqual(check({ "sec-websocket-protocol": v4 }), { _tag: "Accepted", subprotocol: v4 })
    assert.deepStrictEqual(check({ "sec-websocket-protocol": ` ${v4} ` }), { _tag: "Accepted", subprotocol: v4 })
  })

  it("reads Upgrade and Connection in any case and among other words", () => {
    const changes = { "upgrade": "WebSocket", "connection": "keep-alive, UPGRADE", "sec-websocket-extensions": "" }
    assert.strictEqual(check(changes)._tag, "Accepted")
  })

  it("takes an empty subprotocol header for none", () => {
    const none = { _tag: "Accepted", subprotocol: undefined } as const
    assert.deepStrictEqual(check({ "sec-websocket-protocol": "" }, []), none)
    assert.deepStrictEqual(check({ "sec-websocket-protocol": undefined }, []), none)
  })

  const rows: ReadonlyArray<readonly [string, ReturnType<typeof check>, RegExp]> = [
    ["another status", check({}, [v5], 200), /200 instead of 101/],
    ["another upgrade", check({ upgrade: "SPDY/3.1" }), /"SPDY\/3\.1" instead of WebSocket/],
    ["no Upgrade", check({ upgrade: undefined }), /nothing instead of WebSocket/],
    ["another Connection", check({ connection: "keep-alive" }), /"keep-alive" as Connection/],
    ["a Connection that only contains the word", check({ connection: "no-upgrade" }), /as Connection/],
    ["no Connection", check({ connection: undefined }), /nothing as Connection/],
    [
      "the accept value of another key",
      check({ "sec-websocket-accept": "x3pPLMBiTxaQ9kYGzzhZRbK+xOo=" }),
      /Accept is "x3p/
    ],
    [
      "an accept value in other case",
      check({ "sec-websocket-accept": accept.toLowerCase() }),
      /does not answer the key/
    ],
    ["no accept value", check({ "sec-websocket-accept": undefined }), /Accept is nothing/],
    ["an extension", check({ "sec-websocket-extensions": "permessage-deflate" }), /extension "permessage-deflate"/],
    [
      "a subprotocol not offered",
      check({ "sec-websocket-protocol": v4 }, [v5]),
      /"v4\.channel\.k8s\.io", which was not offered/
    ],
    ["a subprotocol though none was offered", check({}, []), /which was not offered \(none was\)/],
    ["a subprotocol in other case", check({ "sec-websocket-protocol": v5.toUpperCase() }), /which was not offered/],
    ["two subprotocols", check({ "sec-websocket-protocol": `${v5}, ${v4}` }), /which was not offered/],
    ["none of those offered", check({ "sec-websocket-protocol": undefined }), /none of the subprotocols offered: "v5/],
    [
      "an empty one instead of those offered",
      check({ "sec-websocket-protocol": "" }),
      /none of the subprotocols offered/
    ]
  ]
  for (const [name, result, message] of rows) {
    it(`refuses ${name}`, () => {
      assert(result._tag === "Rejected")
      assert.match(result.error.message, message)
      assert.strictEqual(result.error.closeCode, 1002)
    })
  }
})

describe("a server", () => {
  const good: Readonly<Record<string, ReadonlyArray<string>>> = {
    "upgrade": ["websocket"],
    "connection": ["Upgrade"],
    "sec-websocket-key": [key],
    "sec-websocket-version": ["13"],
    "sec-websocket-protocol": [`${v5}, ${v4}`]
  }
  const request = (changes: Readonly<Record<string, ReadonlyArray<string>>> = {}, method = "GET") => ({
    method,
    headers: new Map(Object.entries({ ...good, ...changes }))
  })
  const parse = (changes?: Readonly<Record<string, ReadonlyArray<string>>>, method?: string) =>
    WebSocketHandshake.parseRequest(request(changes, method))

  it("reads key and subprotocols, in the client's order", () => {
    assert.deepStrictEqual(parse(), { _tag: "Opening", key, subprotocols: [v5, v4] })
    assert.deepStrictEqual(parse({ "sec-websocket-protocol": [` ${v4} ,,${v5}`] }), {
      _tag: "Opening",
      key,
      subprotocols: [v4, v5]
    })
  })

  it("looks at the first line of subprotocols only, as API servers do", () => {
    assert.deepStrictEqual(parse({ "sec-websocket-protocol": [v4, v5] }), { _tag: "Opening", key, subprotocols: [v4] })
  })

  it("reads no subprotocol as an empty list", () => {
    assert.deepStrictEqual(parse({ "sec-websocket-protocol": [] }), { _tag: "Opening", key, subprotocols: [] })
    assert.deepStrictEqual(parse({ "sec-websocket-protocol": [""] }), { _tag: "Opening", key, subprotocols: [] })
  })

  it("reads Connection in any case, order and number of lines", () => {
    assert.strictEqual(parse({ "connection": ["keep-alive, UPGRADE"], "upgrade": ["WebSocket"] })._tag, "Opening")
    assert.strictEqual(parse({ "connection": ["keep-alive", "upgrade"] })._tag, "Opening")
  })

  it("reads what a client of ours sends", () => {
    const headers = Object.entries(WebSocketHandshake.requestHeaders(key, [v5]))
    assert.deepStrictEqual(
      WebSocketHandshake.parseRequest({
        method: "GET",
        headers: new Map(headers.map(([name, value]) => [name, [value]]))
      }),
      { _tag: "Opening", key, subprotocols: [v5] }
    )
  })

  const rows: ReadonlyArray<readonly [string, ReturnType<typeof parse>, number, RegExp]> = [
    ["POST", parse({}, "POST"), 405, /^bad method$/],
    ["another upgrade", parse({ upgrade: ["SPDY/3.1"] }), 400, /not an upgrade/],
    ["no upgrade", parse({ upgrade: [] }), 400, /not an upgrade/],
    ["no Connection", parse({ connection: [] }), 400, /not an upgrade/],
    ["a Connection that only contains the word", parse({ connection: ["no-upgrade"] }), 400, /not an upgrade/],
    ["no key", parse({ "sec-websocket-key": [] }), 400, /Sec-WebSocket-Key/],
    ["a key of 15 bytes", parse({ "sec-websocket-key": ["AAAAAAAAAAAAAAAAAAAA"] }), 400, /16 bytes/],
    ["a key of 17 bytes", parse({ "sec-websocket-key": ["AAAAAAAAAAAAAAAAAAAAAAA="] }), 400, /16 bytes/],
    ["a key that is no base64", parse({ "sec-websocket-key": ["AAAAAAAAAAAAAAAAAAAA-A=="] }), 400, /16 bytes/],
    ["a key with spare bits", parse({ "sec-websocket-key": ["AAAAAAAAAAAAAAAAAAAAAB=="] }), 400, /16 bytes/],
    ["version 8", parse({ "sec-websocket-version": ["8"] }), 400, /must be 13/],
    ["no version", parse({ "sec-websocket-version": [] }), 400, /must be 13/]
  ]
  for (const [name, result, status, body] of rows) {
    it(`refuses ${name} with ${status}`, () => {
      assert(result._tag === "Refusal")
      assert.strictEqual(result.status, status)
      assert.match(result.body, body)
      assert.deepStrictEqual(result.headers, /version/i.test(name) ? { "sec-websocket-version": "13" } : {})
    })
  }

  it("knows a request for a WebSocket by its headers", () => {
    assert.isTrue(WebSocketHandshake.isUpgradeRequest(request({}, "POST")))
    assert.isFalse(WebSocketHandshake.isUpgradeRequest(request({ upgrade: ["SPDY/3.1"] })))
    assert.isFalse(WebSocketHandshake.isUpgradeRequest(request({ connection: ["close"] })))
  })

  it("chooses by the client's order", () => {
    const choose = WebSocketHandshake.chooseSubprotocol
    assert.strictEqual(choose([v5, v4], [v4, v5]), v5)
    assert.strictEqual(choose([v5, v4], [v4]), v4)
    assert.strictEqual(choose(["x", v4], [v4]), v4)
    assert.strictEqual(choose([v5], [v4, ""]), undefined)
    assert.strictEqual(choose([], [v4]), undefined)
    assert.strictEqual(choose([], [v4, ""]), "")
  })

  it("answers with the subprotocol, an empty one as an empty header", () => {
    const headers = { "upgrade": "websocket", "connection": "Upgrade", "sec-websocket-accept": accept }
    assert.deepStrictEqual(WebSocketHandshake.responseHeaders(accept, v5), { ...headers, "sec-websocket-protocol": v5 })
    assert.deepStrictEqual(WebSocketHandshake.responseHeaders(accept, ""), { ...headers, "sec-websocket-protocol": "" })
    assert.deepStrictEqual(WebSocketHandshake.responseHeaders(accept, undefined), headers)
  })
})
