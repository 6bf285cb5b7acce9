import * as Negotiation from "@effect-k8s/channels/connection/Negotiation"
import { v4, v5 } from "@effect-k8s/channels/protocol/RemoteCommand"
import { assert, describe, it } from "@effect/vitest"

const { offers, remaining } = Negotiation

const intent = (more: Partial<Negotiation.Intent>): Negotiation.Intent => ({
  halfClose: false,
  tty: false,
  bulk: false,
  supervised: false,
  ...more
})
const booleans = [true, false]
const intents = booleans.flatMap((halfClose) =>
  booleans.flatMap((tty) =>
    booleans.flatMap((supervised) => booleans.map((bulk) => intent({ halfClose, tty, supervised, bulk })))
  )
)
const described = (asked: Negotiation.Intent, policy: Negotiation.Policy) =>
  offers(asked, policy).map(Negotiation.describe)

const both = `websocket ${v5}, ${v4}`
const spdy = `spdy ${v5}, ${v4}`

describe("offers", () => {
  it("of WebSocket are both subprotocols where either will do: on a terminal, and when closing acknowledges", () => {
    for (const asked of intents.filter(({ halfClose, supervised, tty }) => !halfClose && (tty || supervised))) {
      assert.deepStrictEqual(described(asked, { transport: "websocket" }), [both])
    }
  })

  it("of WebSocket are v5 alone when the end of stdin must be said: a 101 with v4 would have started the command", () => {
    for (const asked of intents.filter(({ halfClose }) => halfClose)) {
      assert.deepStrictEqual(described(asked, { transport: "websocket" }), [`websocket ${v5}`])
    }
  })

  it("of WebSocket are v4 and then v5 for a bare command without a stdin: v5 loses output of slow readers", () => {
    const expected = [`websocket ${v4}`, `websocket ${v5}`]
    assert.deepStrictEqual(described(intent({}), { transport: "websocket" }), expected)
  })

  it("of SPDY are the same for every command", () => {
    for (const asked of intents) assert.deepStrictEqual(described(asked, { transport: "spdy" }), [spdy])
  })

  it("are of both by themselves: WebSocket first, and SPDY first for bulk", () => {
    for (const asked of intents) {
      const transports = offers(asked, { transport: "auto" }).map(({ transport }) => transport)
      assert.deepStrictEqual(
        transports.slice(0, 2),
        asked.bulk ? ["spdy", "websocket"] : ["websocket", "spdy"]
      )
    }
    assert.deepStrictEqual(described(intent({ halfClose: true }), { transport: "auto" }), [`websocket ${v5}`, spdy])
    assert.deepStrictEqual(described(intent({}), { transport: "auto" }), [`websocket ${v4}`, spdy, `websocket ${v5}`])
  })

  it("never let a server start a command that must be told the end of stdin where it cannot be", () => {
    for (const asked of intents.filter(({ halfClose }) => halfClose)) {
      for (const transport of ["auto", "websocket", "spdy"] as const) {
        for (const offer of offers(asked, { transport })) {
          assert.isTrue(offer.transport === "spdy" || !offer.protocols.includes(v4))
        }
      }
    }
  })

  it("have no v4 over WebSocket where the end of stdin must be told, even by the caller's own choice", () => {
    const { problem } = Negotiation
    for (const asked of intents) {
      for (const transport of ["auto", "websocket"] as const) {
        for (const protocols of [[v4], [v5, v4]] as const) {
          const why = problem(asked, { transport, protocols })
          if (asked.halfClose) assert.include(why, `offer ${v5} alone`)
          else assert.isUndefined(why)
        }
        assert.isUndefined(problem(asked, { transport, protocols: [v5] }))
      }
      assert.isUndefined(problem(asked, { transport: "spdy", protocols: [v4] }))
      assert.isUndefined(problem(asked, { transport: "auto" }))
    }
  })

  it("are what the caller names, and nothing else", () => {
    for (const asked of intents) {
      assert.deepStrictEqual(described(asked, { transport: "auto", protocols: [v4] }), [`websocket ${v4}`])
      assert.deepStrictEqual(described(asked, { transport: "spdy", protocols: [v4] }), [`spdy ${v4}`])
    }
  })
})

describe("after a refusal", () => {
  const left = (asked: Negotiation.Intent, more: Omit<Negotiation.Refusal, "offer">) => {
    const [offer, ...rest] = offers(asked, { transport: "auto" })
    return remaining(rest, { offer, ...more }).map(Negotiation.describe)
  }
  const bodies = ["empty", "text", "status"] as const

  it("of a subprotocol, all else is tried", () => {
    assert.deepStrictEqual(left(intent({}), { code: 403, body: "empty" }), [spdy, `websocket ${v5}`])
    assert.deepStrictEqual(left(intent({ bulk: true }), { code: 403, body: "text" }), [
      `websocket ${v4}`,
      `websocket ${v5}`
    ])
  })

  it("of the verb, the other transport is tried, which is another verb", () => {
    for (const body of ["text", "status"] as const) {
      assert.deepStrictEqual(left(intent({}), { code: 403, body }), [spdy])
      assert.deepStrictEqual(left(intent({ supervised: true, bulk: true }), { code: 403, body }), [both])
    }
  })

  it("of the upgrade itself, the other transport is tried", () => {
    for (const code of [400, 405, 426, 501]) {
      for (const body of ["empty", "text"] as const) {
        assert.deepStrictEqual(left(intent({}), { code, body }), [spdy])
      }
    }
    assert.deepStrictEqual(left(intent({}), { code: 400, body: "status", message: "Upgrade request required" }), [spdy])
  })

  it("of anything else, nothing is asked again: it is final, or the command may have started", () => {
    for (const asked of intents) {
      for (const code of [200, 301, 401, 404, 409, 429, 500, 502, 503, 504]) {
        for (const body of bodies) assert.deepStrictEqual(left(asked, { code, body }), [], `${code} ${body}`)
      }
      for (const code of [400, 405, 426, 501]) assert.deepStrictEqual(left(asked, { code, body: "status" }), [])
    }
  })

  it("of anything else, the other transport is tried where asking twice does no harm and the answer is not final", () => {
    const left = (code: number, body: Negotiation.Answer["body"]) => {
      const [offer, ...rest] = offers(intent({}), { transport: "auto" })
      return remaining(rest, { offer, code, body }, "always").map(Negotiation.describe)
    }
    for (const code of [502, 503, 504]) {
      for (const body of bodies) assert.deepStrictEqual(left(code, body), [spdy], `${code} ${body}`)
    }
    assert.deepStrictEqual(left(200, "text"), [spdy])
    for (const code of [301, 401, 404, 409, 429, 500]) {
      for (const body of bodies) assert.deepStrictEqual(left(code, body), [], `${code} ${body}`)
    }
  })

  it("of the last offer, nothing is left", () => {
    for (const asked of intents) {
      let rest: ReadonlyArray<Negotiation.Offer> = offers(asked, { transport: "auto" })
      let tries = 0
      while (rest[0] !== undefined) {
        rest = remaining(rest.slice(1), { offer: rest[0], code: 403, body: "empty" })
        tries++
      }
      assert.isAtMost(tries, 3)
    }
  })
})

describe("the end of stdin", () => {
  const [v5Alone, overSpdy] = offers(intent({ halfClose: true }), { transport: "auto" })
  const refused = (offer: Negotiation.Offer | undefined, code: number, body: Negotiation.Refusal["body"]) =>
    ({ offer: offer!, code, body }) satisfies Negotiation.Refusal

  it("A5: cannot be said when v5 and SPDY are refused as protocols, so nothing is started", () => {
    const both = [refused(v5Alone, 403, "empty"), refused(overSpdy, 403, "text")]
    assert.isTrue(Negotiation.isHalfCloseUnsupported(intent({ halfClose: true }), both))
    assert.isFalse(Negotiation.isHalfCloseUnsupported(intent({}), both))
    assert.isFalse(Negotiation.isHalfCloseUnsupported(intent({ tty: true }), both))
  })

  it("is not what fails when the server names another reason", () => {
    const asked = intent({ halfClose: true })
    const role = [refused(v5Alone, 403, "empty"), refused(overSpdy, 403, "status")]
    assert.isFalse(Negotiation.isHalfCloseUnsupported(asked, role))
    assert.isFalse(Negotiation.isHalfCloseUnsupported(asked, [refused(v5Alone, 404, "status")]))
    assert.isFalse(Negotiation.isHalfCloseUnsupported(asked, [refused(v5Alone, 502, "text")]))
    // It may have started the command.
    const gateway = [refused(v5Alone, 403, "empty"), refused(overSpdy, 502, "text")]
    assert.isFalse(Negotiation.isHalfCloseUnsupported(asked, gateway))
  })
})
