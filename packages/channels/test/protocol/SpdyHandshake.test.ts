import * as SpdyHandshake from "@effect-k8s/channels/protocol/SpdyHandshake"
import { assert, describe, it } from "@effect/vitest"

const v4 = "v4.channel.k8s.io"
const v5 = "v5.channel.k8s.io"
const right = { "connection": "Upgrade", "upgrade": "SPDY/3.1", "x-stream-protocol-version": v4 }

describe("an upgrade to SPDY", () => {
  it("is asked for with the protocols in their order", () => {
    assert.deepStrictEqual(SpdyHandshake.requestHeaders([v5, v4]), {
      "connection": "Upgrade",
      "upgrade": "SPDY/3.1",
      "x-stream-protocol-version": `${v5}, ${v4}`
    })
  })

  it("is taken when the answer has all headers, in any case, and a protocol that was offered", () => {
    for (const headers of [right, { ...right, connection: "keep-alive, upgrade", upgrade: "spdy/3.1" }]) {
      assert.deepStrictEqual(SpdyHandshake.checkResponse(headers, [v5, v4]), { _tag: "Accepted", subprotocol: v4 })
    }
    const answer = Object.entries(SpdyHandshake.responseHeaders(v4)).map(([name, value]) => [name.toLowerCase(), value])
    assert.strictEqual(SpdyHandshake.checkResponse(Object.fromEntries(answer), [v4])._tag, "Accepted")
  })

  it("is refused otherwise, with what is wrong", () => {
    const rows: ReadonlyArray<readonly [Readonly<Record<string, string | undefined>>, string]> = [
      [{ ...right, connection: undefined }, "Connection"],
      [{ ...right, connection: "close" }, "Connection"],
      [{ ...right, upgrade: undefined }, "nothing instead of SPDY/3.1"],
      [{ ...right, upgrade: "websocket" }, "websocket"],
      [{ ...right, "x-stream-protocol-version": undefined }, "none of the protocols"],
      [{ ...right, "x-stream-protocol-version": "v3.channel.k8s.io" }, "v3.channel.k8s.io"]
    ]
    for (const [headers, message] of rows) {
      const checked = SpdyHandshake.checkResponse(headers, [v5, v4])
      assert(checked._tag === "Rejected")
      assert.include(checked.error.message, message)
    }
  })

  it("is read from a request whose protocols are repeated, listed, or both", () => {
    const headers = new Map([
      ["connection", ["Upgrade"]],
      ["upgrade", ["SPDY/3.1"]],
      ["x-stream-protocol-version", [v5, ` ${v4} , v3.channel.k8s.io,`]]
    ])
    assert.isTrue(SpdyHandshake.isUpgradeRequest(headers))
    assert.deepStrictEqual(SpdyHandshake.offered(headers), [v5, v4, "v3.channel.k8s.io"])
    assert.isFalse(SpdyHandshake.isUpgradeRequest(new Map([...headers, ["upgrade", ["websocket"]]])))
    assert.isFalse(SpdyHandshake.isUpgradeRequest(new Map([...headers, ["connection", ["close"]]])))
    assert.deepStrictEqual(SpdyHandshake.offered(new Map()), [])
  })
})
