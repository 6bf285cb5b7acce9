import * as Negotiation from "@effect-k8s/channels/connection/ForwardNegotiation"
import type { Answer } from "@effect-k8s/channels/connection/Negotiation"
import { assert, describe, it } from "@effect/vitest"

describe("forwarded connections are carried", () => {
  it("by the tunnel, then SPDY, then WebSocket alone, or by what was asked for", () => {
    assert.deepStrictEqual(Negotiation.offers("auto"), ["tunnel", "spdy", "websocket"])
    for (const transport of ["tunnel", "spdy", "websocket"] as const) {
      assert.deepStrictEqual(Negotiation.offers(transport), [transport])
    }
  })
})

describe("a refusal", () => {
  const rows: ReadonlyArray<readonly [refusal: Answer, goesOn: boolean, name: string]> = [
    [{ code: 400, body: "text" }, true, "of a server before 1.30, which wants ports"],
    [{ code: 403, body: "empty" }, true, "of the subprotocol"],
    [{ code: 403, body: "text" }, true, "of SPDY's subprotocol"],
    [{ code: 403, body: "status" }, true, "of one verb: the other may be granted"],
    [{ code: 405, body: "text" }, true, "of the method"],
    [{ code: 426, body: "empty" }, true, "of a proxy"],
    [{ code: 501, body: "text" }, true, "of a server without the upgrade"],
    [{ code: 502, body: "text" }, true, "of a gateway"],
    [{ code: 503, body: "status" }, true, "of an API server that cannot reach the node"],
    [{ code: 504, body: "empty" }, true, "of a gateway that waited"],
    [{ code: 200, body: "text" }, true, "of a proxy that took it for a page"],
    [{ code: 400, body: "status", message: "Upgrade request required" }, true, "of what a proxy left of it"],
    [{ code: 400, body: "status", message: "pod web does not have a host assigned" }, false, "of the request"],
    [{ code: 401, body: "status" }, false, "of the credentials"],
    [{ code: 404, body: "status" }, false, "of the pod"],
    [{ code: 404, body: "text" }, false, "of the kubelet's pod"],
    [{ code: 429, body: "status" }, false, "for the moment"],
    [{ code: 500, body: "text" }, false, "of the kubelet"]
  ]
  for (const [refusal, goesOn, name] of rows) {
    it(`${name} (${refusal.code}) is ${goesOn ? "followed by another offer" : "final"}`, () => {
      assert.strictEqual(Negotiation.isWorthAnother(refusal), goesOn)
    })
  }

  it("of a role is one of all protocols by the same method, and of no other refusal", () => {
    const { remaining } = Negotiation
    const role: Answer = { code: 403, body: "status" }
    assert.deepStrictEqual(remaining(["spdy", "websocket"], "tunnel", role), ["spdy"])
    assert.deepStrictEqual(remaining(["websocket"], "spdy", role), ["websocket"])
    for (const refusal of [{ code: 403, body: "empty" }, { code: 400, body: "text" }] as const) {
      assert.deepStrictEqual(remaining(["spdy", "websocket"], "tunnel", refusal), ["spdy", "websocket"])
    }
  })
})
