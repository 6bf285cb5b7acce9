import * as Negotiation from "@effect-k8s/channels/connection/Negotiation"
import * as TransportMemory from "@effect-k8s/channels/connection/TransportMemory"
import { assert, describe, it } from "@effect/vitest"

const { avoidedForMillis, failuresToAvoid, initial, refusedForMillis } = TransportMemory
const { order, step } = TransportMemory.commands

const intent: Negotiation.Intent = { halfClose: true, tty: false, bulk: false, supervised: true }
const offers = Negotiation.offers(intent, { transport: "auto" })
const [websocket, spdy] = offers as readonly [Negotiation.Offer, Negotiation.Offer]
const noProtocol: Negotiation.Refusal = { offer: websocket, code: 403, body: "empty" }
const noRole: Negotiation.Refusal = { offer: websocket, code: 403, body: "status" }

const first = (state: TransportMemory.State, now: number, namespace = "ns") =>
  order(state, now, offers, namespace)[0]?.transport
const opened = (
  state: TransportMemory.State,
  now: number,
  offer: Negotiation.Offer,
  refusals: ReadonlyArray<Negotiation.Refusal> = [],
  namespace = "ns"
) => step(state, now, { _tag: "Opened", offer, refusals, namespace })
const failed = (times: number, state = initial, now = 0) =>
  Array.from({ length: times }).reduce<TransportMemory.State>(
    (state) => step(state, now, { _tag: "Failed", transport: "websocket" }),
    state
  )

describe("the memory of a cluster", () => {
  it("changes nothing before anything is known", () => {
    assert.deepStrictEqual(order(initial, 0, offers, "ns"), offers)
  })

  it("tries an offer last that was refused before another was taken, until it expires", () => {
    const state = opened(initial, 1000, spdy, [noProtocol])
    assert.deepStrictEqual(order(state, 1000, offers, "ns"), [spdy, websocket])
    assert.strictEqual(first(state, 1000 + refusedForMillis - 1, "another"), "spdy")
    assert.strictEqual(first(state, 1000 + refusedForMillis), "websocket")
  })

  it("keeps what a role refuses to its namespace", () => {
    const state = opened(initial, 0, spdy, [noRole])
    assert.strictEqual(first(state, 1), "spdy")
    assert.strictEqual(first(state, 1, "another"), "websocket")
  })

  it("forgets a refusal when the offer is taken", () => {
    for (const refusal of [noProtocol, noRole]) {
      const state = opened(initial, 0, spdy, [refusal])
      assert.strictEqual(first(opened(state, 1, websocket), 2), "websocket")
    }
  })

  it("holds no more than a bound, and drops what has expired", () => {
    let state = initial
    for (let i = 0; i < 1000; i++) state = opened(state, i, spdy, [noRole], `ns-${i}`)
    assert.isAtMost(state.refused.size, 256)
    assert.strictEqual(first(state, 1000, "ns-999"), "spdy")
    assert.strictEqual(opened(state, 2 * refusedForMillis, spdy).refused.size, 0)
  })
})

describe("the memory of forwarded connections", () => {
  const { order, step } = TransportMemory.forwards
  const all = ["tunnel", "spdy"] as const

  it("is of the server, or of a role in its namespace, and leaves commands alone", () => {
    for (const [body, elsewhere] of [["text", "spdy"], ["empty", "spdy"], ["status", "tunnel"]] as const) {
      const refusals = [{ offer: "tunnel", code: 403, body } as const]
      const state = step(initial, 0, { _tag: "Opened", offer: "spdy", refusals, namespace: "ns" })
      assert.deepStrictEqual(order(state, 1, all, "ns"), ["spdy", "tunnel"])
      assert.strictEqual(order(state, 1, all, "another")[0], elsewhere)
      assert.deepStrictEqual(order(state, refusedForMillis, all, "ns"), all)
      assert.deepStrictEqual(TransportMemory.commands.order(state, 1, offers, "ns"), offers)
    }
  })

  it("has the circuit breaker in common with commands", () => {
    const state = failed(failuresToAvoid)
    assert.deepStrictEqual(order(state, 1, all, "ns"), ["spdy", "tunnel"])
    const again = step(state, 1, { _tag: "Opened", offer: "tunnel", refusals: [], namespace: "ns" })
    assert.strictEqual(first(again, 2), "websocket")
  })
})

describe("the circuit breaker", () => {
  it("lets a transport be tried last after so many failures in a row, for a while", () => {
    assert.strictEqual(first(failed(failuresToAvoid - 1), 1), "websocket")
    const state = failed(failuresToAvoid)
    assert.strictEqual(first(state, avoidedForMillis - 1), "spdy")
    assert.strictEqual(first(state, avoidedForMillis), "websocket")
    // One more failure is enough then.
    assert.strictEqual(first(failed(1, state, avoidedForMillis), avoidedForMillis + 1), "spdy")
  })

  it("begins to count again with each success, and closes with one", () => {
    const state = opened(failed(failuresToAvoid - 1), 0, websocket)
    assert.strictEqual(first(failed(failuresToAvoid - 1, state), 1), "websocket")
    assert.strictEqual(first(opened(failed(failuresToAvoid), 1, websocket), 2), "websocket")
    assert.strictEqual(first(opened(failed(failuresToAvoid), 1, spdy), 2), "spdy")
  })

  it("never drops an offer, and keeps the order when both transports are doubtful", () => {
    const both = step(failed(failuresToAvoid), 0, { _tag: "Failed", transport: "spdy" })
    const twice = [1, 2].reduce((state) => step(state, 0, { _tag: "Failed", transport: "spdy" }), both)
    assert.deepStrictEqual(order(twice, 1, offers, "ns"), offers)
  })
})
