import * as Liveness from "@effect-k8s/channels/session/Liveness"
import { assert, describe, it } from "@effect/vitest"
import * as Schema from "effect/Schema"

const second = 1000
const minute = 60 * second
const hour = 60 * minute

const settings = Liveness.defaults

/** Something happens at a moment. */
type Happening = readonly [at: number, event: Liveness.Event]

/** What the watcher does at a moment. */
type Act = readonly [at: number, action: "Ping" | "KeepAlive" | "Dead" | "HalfTold"]

const data: Liveness.Event = { _tag: "Received", data: true, pong: false }
const pong: Liveness.Event = { _tag: "Received", data: false, pong: true }
const sentStdin: Liveness.Event = { _tag: "SentStdin" }
const paused: Liveness.Event = { _tag: "Paused" }
const resumed: Liveness.Event = { _tag: "Resumed" }
const silenced: Liveness.Event = { _tag: "Silenced" }

/**
 * The acts of a watcher that decides, does what it is told or sleeps for as long as it is told, and decides again; what
 * happens does not wake it. `pongAfter`: the peer answers each ping so much later.
 */
const watch = (
  happenings: ReadonlyArray<Happening>,
  until: number,
  pongAfter: (pingAt: number) => number | undefined = () => undefined
): ReadonlyArray<Act> => {
  const coming = [...happenings]
  const acts: Array<Act> = []
  let state = Liveness.initial(0)
  let wakeAt = 0
  while (true) {
    coming.sort(([a], [b]) => a - b)
    const [next] = coming
    if (next !== undefined && next[0] <= wakeAt) {
      if (next[0] > until) return acts
      state = Liveness.step(state, next[0], next[1])
      coming.shift()
      continue
    }
    if (wakeAt > until) return acts
    const now = wakeAt
    const action = Liveness.decide(settings, state, now)
    switch (action._tag) {
      case "Wait":
        wakeAt = now + Math.max(action.millis, 1)
        break
      case "Ping": {
        acts.push([now, "Ping"])
        state = Liveness.step(state, now, { _tag: "Pinged" })
        const after = pongAfter(now)
        if (after !== undefined) coming.push([now + after, pong])
        break
      }
      case "KeepAlive":
        acts.push([now, "KeepAlive"])
        state = Liveness.step(state, now, { _tag: "KeptAlive" })
        break
      case "Dead":
      case "HalfTold":
        acts.push([now, action._tag])
        return acts
    }
  }
}

const only = (acts: ReadonlyArray<Act>, action: Act[1]): ReadonlyArray<number> =>
  acts.flatMap(([at, what]) => what === action ? [at] : [])

describe("a silent connection", () => {
  it("is pinged after 10 s, and dead 30 s later when nothing comes", () => {
    assert.deepStrictEqual(watch([], hour), [[10 * second, "Ping"], [40 * second, "Dead"]])
  })

  it("tells how long it was silent", () => {
    let state = Liveness.step(Liveness.initial(0), 5 * second, data)
    state = Liveness.step(state, 15 * second, { _tag: "Pinged" })
    assert.deepStrictEqual(Liveness.decide(settings, state, 44_999), { _tag: "Wait", millis: 1 })
    assert.deepStrictEqual(Liveness.decide(settings, state, 45_000), { _tag: "Dead", silentMillis: 40_000 })
  })

  it("is not pinged while something comes more often", () => {
    const chatter = Array.from({ length: 60 }, (_, i): Happening => [i * 9 * second, data])
    assert.deepStrictEqual(watch(chatter, 8 * minute), [])
  })

  it("lives for ever while its pings are answered, whatever the command does", () => {
    const acts = watch([], 12 * hour, () => 200)
    assert.deepStrictEqual(only(acts, "Dead"), [])
    assert.isAbove(only(acts, "Ping").length, 12 * 60)
  })

  it("is kept from the idle limit of servers by an empty message an hour, which pongs do not replace", () => {
    const acts = watch([], 4 * hour, () => 200)
    assert.deepStrictEqual(only(acts, "KeepAlive"), [hour, 2 * hour, 3 * hour, 4 * hour])
  })

  it("needs no empty message while there is data, in either direction", () => {
    const output = Array.from({ length: 10 }, (_, i): Happening => [(i + 1) * 50 * minute, data])
    assert.deepStrictEqual(only(watch(output, 9 * hour, () => 200), "KeepAlive"), [])
    const input = Array.from({ length: 10 }, (_, i): Happening => [(i + 1) * 50 * minute, sentStdin])
    assert.deepStrictEqual(only(watch(input, 9 * hour, () => 200), "KeepAlive"), [])
  })

  it("is dead within the deadline also when it goes silent after a long life", () => {
    const dies = 5 * hour
    const acts = watch([], dies + 2 * minute, (at) => at < dies ? 200 : undefined)
    const [dead] = only(acts, "Dead")
    assert(dead !== undefined, "nobody noticed")
    assert.isAtMost(dead - dies, settings.pingAfter * 2 + settings.pongWithin)
  })

  it("is dead within the deadline also when stdin was sent before, and answered", () => {
    const dies = 2 * minute
    const acts = watch([[second, sentStdin]], 10 * minute, (at) => at < dies ? 200 : undefined)
    const [dead] = only(acts, "Dead")
    assert(dead !== undefined, "nobody noticed")
    assert.isAtMost(dead - dies, settings.pingAfter * 2 + settings.pongWithin)
  })
})

describe("any byte is a sign of life", () => {
  it("that stops the deadline of a ping", () => {
    const acts = watch([[39 * second, data]], 45 * second)
    assert.deepStrictEqual(acts, [[10 * second, "Ping"]])
  })

  it("after which silence is measured anew", () => {
    const acts = watch([[39 * second, data]], hour)
    const [dead] = only(acts, "Dead")
    assert(dead !== undefined)
    assert.isAtLeast(dead, 39 * second + settings.pingAfter + settings.pongWithin)
  })
})

describe("a peer that may be blocked by its stdin", () => {
  it("is never dead for a missing pong: stdin was sent since the last one", () => {
    const acts = watch([[second, sentStdin]], 3 * hour)
    assert.deepStrictEqual(only(acts, "Dead"), [])
    assert.isAtLeast(only(acts, "Ping").length, 1)
  })

  it("is never dead when stdin was sent after the ping", () => {
    const acts = watch([[11 * second, sentStdin]], 3 * hour)
    assert.deepStrictEqual(only(acts, "Dead"), [])
  })

  it("is never dead when stdin was sent between a ping and its pong, which says nothing of that stdin", () => {
    const acts = watch([[10_100, sentStdin]], 3 * hour, (at) => at === 10 * second ? 200 : undefined)
    assert.deepStrictEqual(only(acts, "Dead"), [])
  })

  it("still gets the empty message in time", () => {
    const acts = watch([[second, sentStdin]], 4 * hour)
    assert.deepStrictEqual(only(acts, "KeepAlive"), [hour + second, 2 * hour + second, 3 * hour + second])
  })

  it("is mortal again once a pong has come for a ping behind that stdin", () => {
    const acts = watch([[10_100, sentStdin]], hour, (at) => at < minute ? 200 : undefined)
    assert.strictEqual(only(acts, "Dead").length, 1)
  })

  it("is not unblocked by output: the process may write and not read", () => {
    const output = Array.from({ length: 20 }, (_, i): Happening => [15 * second * (i + 1), data])
    const acts = watch([[second, sentStdin], ...output], 3 * hour)
    assert.deepStrictEqual(only(acts, "Dead"), [])
  })
})

describe("while reading is paused", () => {
  it("nothing is sent, and nobody is dead", () => {
    assert.deepStrictEqual(watch([[second, paused]], 8 * hour), [])
    assert.deepStrictEqual(watch([[11 * second, paused]], 8 * hour), [[10 * second, "Ping"]])
  })

  it("the deadline stands still, and runs from the beginning when reading goes on", () => {
    let state = Liveness.step(Liveness.initial(0), 10 * second, { _tag: "Pinged" })
    state = Liveness.step(state, 20 * second, paused)
    state = Liveness.step(state, 10 * minute, resumed)
    assert.deepStrictEqual(Liveness.decide(settings, state, 10 * minute + settings.pongWithin - 1)._tag, "Wait")
    assert.deepStrictEqual(Liveness.decide(settings, state, 10 * minute + settings.pongWithin)._tag, "Dead")
  })

  it("silence is measured from the moment when reading goes on", () => {
    let state = Liveness.step(Liveness.initial(0), second, paused)
    state = Liveness.step(state, minute, resumed)
    assert.strictEqual(Liveness.decide(settings, state, minute + settings.pingAfter - 1)._tag, "Wait")
    assert.strictEqual(Liveness.decide(settings, state, minute + settings.pingAfter)._tag, "Ping")
  })
})

describe("a session with one of the last records", () => {
  const record: ReadonlyArray<Happening> = [[second, { _tag: "HalfTold" }], [second, data]]
  const { answered, unanswered } = Liveness.otherRecordWithin

  it("waits for the other as long as a server may hang that answers", () => {
    const [at = 0] = only(watch(record, hour, () => 200), "HalfTold")
    assert.isAtLeast(at, second + answered)
    assert.isAtMost(at, second + answered + settings.pingAfter)
  })

  it("waits from the last data on, and while reading is paused", () => {
    const output = Array.from({ length: 30 }, (_, i): Happening => [(i + 1) * 119 * second, data])
    assert.deepStrictEqual(only(watch([...record, ...output], hour, () => 200), "HalfTold"), [])
    assert.deepStrictEqual(only(watch([...record, [minute, paused]], 8 * hour, () => 200), "HalfTold"), [])
    const [at = 0] = only(watch([...record, [minute, paused], [hour, resumed]], 2 * hour, () => 200), "HalfTold")
    assert.isAtLeast(at, hour + answered)
  })

  it("waits longer for one that cannot answer, and no longer than it must", () => {
    const [at = 0] = only(watch([[0, sentStdin], ...record], 2 * hour), "HalfTold")
    assert.isAtLeast(at, second + unanswered)
    assert.isAtMost(at, second + unanswered + settings.pingAfter)
  })

  it("does not wait for one that is dead", () => {
    assert.deepStrictEqual(only(watch(record, hour), "Dead"), [second + settings.pingAfter + settings.pongWithin])
  })
})

describe("after the last word", () => {
  it("nothing is sent, and nobody is dead", () => {
    assert.deepStrictEqual(watch([[second, silenced]], 8 * hour), [])
    assert.deepStrictEqual(watch([[11 * second, silenced]], 8 * hour), [[10 * second, "Ping"]])
  })

  it("it stays so, whatever comes", () => {
    assert.deepStrictEqual(watch([[second, silenced], [2 * second, data], [minute, pong]], 8 * hour), [])
  })
})

const Kind = Schema.Literals(["Received", "Pong", "SentStdin", "Paused", "Resumed"])
const Step = Schema.Struct({ after: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 200_000 })), kind: Kind })

describe("whatever happens", () => {
  it.prop(
    "the watcher waits for some time, looks again soon enough to ping, and pings only in silence",
    { steps: Schema.Array(Step) },
    ({ steps }) => {
      let now = 0
      let state = Liveness.initial(0)
      for (const { after, kind } of steps) {
        now += after
        const action = Liveness.decide(settings, state, now)
        switch (action._tag) {
          case "Wait":
            assert.isAbove(action.millis, 0)
            assert.isAtMost(action.millis, settings.pingAfter)
            break
          case "Ping":
            assert.isAtLeast(now - state.receivedAt, settings.pingAfter)
            assert.isFalse(state.paused)
            assert.isUndefined(state.pingAt)
            state = Liveness.step(state, now, { _tag: "Pinged" })
            break
          case "KeepAlive":
            assert.isAtLeast(now - state.dataAt, settings.keepAliveAfter)
            state = Liveness.step(state, now, { _tag: "KeptAlive" })
            break
          case "Dead":
            assert.isAtLeast(action.silentMillis, settings.pongWithin)
            return
        }
        state = Liveness.step(
          state,
          now,
          kind === "Received" ? data : kind === "Pong" ? pong : { _tag: kind }
        )
      }
    }
  )
})
