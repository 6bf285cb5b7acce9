import * as WriterGate from "@effect-k8s/channels/session/WriterGate"
import { assert, describe, it } from "@effect/vitest"

const { decide, patienceMillis, quietMillis } = WriterGate

const state = (more: Partial<WriterGate.State>): WriterGate.State => ({
  paused: false,
  outputAt: 0,
  ended: false,
  ...more
})

describe("a bare command", () => {
  it("may be written to when no output has come", () => {
    assert.deepStrictEqual(decide(state({}), 1_000_000, 1_000_000), { _tag: "Open" })
  })

  it("may not be written to while output is just arriving", () => {
    assert.deepStrictEqual(decide(state({ outputAt: 100 }), 100, 100), { _tag: "Wait", millis: quietMillis })
    assert.deepStrictEqual(decide(state({ outputAt: 100 }), 101, 100), { _tag: "Wait", millis: quietMillis - 1 })
    assert.deepStrictEqual(decide(state({ outputAt: 100 }), 100 + quietMillis, 100), { _tag: "Open" })
  })

  it("may be written to after some patience while output keeps arriving and is read", () => {
    const since = 1000
    const at = since + patienceMillis
    assert.deepStrictEqual(decide(state({ outputAt: at - 1 }), at - 1, since), { _tag: "Wait", millis: 1 })
    assert.deepStrictEqual(decide(state({ outputAt: at }), at, since), { _tag: "Open" })
  })

  it("may not be written to while reading is paused, however long it has waited", () => {
    assert.deepStrictEqual(decide(state({ paused: true }), 1_000_000, 0), { _tag: "Wait", millis: undefined })
    assert.deepStrictEqual(decide(state({ paused: true, outputAt: 1_000_000 }), 1_000_000, 0), {
      _tag: "Wait",
      millis: undefined
    })
  })

  it("may never be written to after the end", () => {
    for (const paused of [true, false]) {
      for (const outputAt of [0, 1000]) {
        assert.deepStrictEqual(decide(state({ ended: true, paused, outputAt }), 1000, 0), { _tag: "Never" })
      }
    }
  })
})
