import * as Negotiation from "@effect-k8s/channels/connection/Negotiation"
import { v4, v5 } from "@effect-k8s/channels/protocol/RemoteCommand"
import { assert, describe, it } from "@effect/vitest"

const { first, next } = Negotiation

const intent = (more: Partial<Negotiation.Intent>): Negotiation.Intent => ({
  stdin: false,
  tty: false,
  bulk: false,
  supervised: false,
  ...more
})
const booleans = [true, false]

describe("the first offer", () => {
  it("is both where either will do: on a terminal", () => {
    for (const stdin of booleans) {
      for (const bulk of booleans) assert.deepStrictEqual(first(intent({ tty: true, stdin, bulk })), [v5, v4])
    }
  })

  it("is v5 alone when the end of stdin must be said: a 101 with v4 would have started the command", () => {
    for (const supervised of booleans) {
      for (const bulk of booleans) assert.deepStrictEqual(first(intent({ stdin: true, supervised, bulk })), [v5])
    }
  })

  it("is both for a supervised command without a stdin: closing acknowledges on v4", () => {
    assert.deepStrictEqual(first(intent({ supervised: true })), [v5, v4])
  })

  it("is v4 for a bare command without a stdin: v5 loses output of slow readers", () => {
    assert.deepStrictEqual(first(intent({})), [v4])
  })
})

describe("after a refusal", () => {
  const unknown = { code: 403, emptyBody: true }

  it("of the subprotocol, the end of stdin has nothing left", () => {
    for (const supervised of booleans) {
      const asked = intent({ stdin: true, supervised })
      assert.deepStrictEqual(next(asked, { offer: first(asked), ...unknown }), { _tag: "HalfCloseUnsupported" })
    }
  })

  it("of v4, a bare command without a stdin is offered v5, and then nothing", () => {
    const asked = intent({})
    const step = next(asked, { offer: first(asked), ...unknown })
    assert.deepStrictEqual(step, { _tag: "Offer", offer: [v5] })
    assert(step._tag === "Offer")
    assert.deepStrictEqual(next(asked, { offer: step.offer, ...unknown }), { _tag: "Refused" })
  })

  it("of both, nothing is left", () => {
    for (const asked of [intent({ tty: true }), intent({ tty: true, stdin: true }), intent({ supervised: true })]) {
      assert.deepStrictEqual(next(asked, { offer: first(asked), ...unknown }), { _tag: "Refused" })
    }
  })

  it("of anything else, nothing is asked again: it is final, or the command may have started", () => {
    for (const stdin of booleans) {
      for (const tty of booleans) {
        for (const supervised of booleans) {
          const asked = intent({ stdin, tty, supervised })
          for (const code of [200, 301, 400, 401, 404, 405, 426, 429, 500, 501, 502, 503, 504]) {
            for (const emptyBody of booleans) {
              assert.deepStrictEqual(next(asked, { offer: first(asked), code, emptyBody }), { _tag: "Refused" })
            }
          }
          assert.deepStrictEqual(next(asked, { offer: first(asked), code: 403, emptyBody: false }), { _tag: "Refused" })
        }
      }
    }
  })
})
