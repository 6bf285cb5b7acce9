/**
 * Programs for the server in memory, run bare or as the supervisor's script would run them.
 */
import type * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Pull from "effect/Pull"
import * as Queue from "effect/Queue"
import { exitStatus, internalError, type Script, type ServerSession } from "./execServer.ts"

/** What a program has. */
export interface Io {
  readonly argv: ReadonlyArray<string>
  /** The variables and the directory that the supervisor was told. */
  readonly env: Readonly<Record<string, string>>
  readonly cwd: string | undefined
  /** The next of stdin; nothing at its end. */
  readonly read: Effect.Effect<Uint8Array | undefined>
  readonly stdout: (data: string | Uint8Array) => Effect.Effect<void>
  readonly stderr: (data: string | Uint8Array) => Effect.Effect<void>
}

/** A program: its exit code is what it comes to. */
export type Program = (io: Io) => Effect.Effect<number>

/** The programs of a container by name. */
export type Programs = Readonly<Record<string, Program>>

const copy: Program = ({ read, stdout }) =>
  Effect.gen(function*() {
    while (true) {
      const chunk = yield* read
      if (chunk === undefined) return 0
      yield* stdout(chunk)
    }
  })

/** Programs that tests of pipelines need. */
export const basic: Programs = {
  /** Copies stdin. */
  cat: copy,
  /** Writes its arguments. */
  echo: ({ argv, stdout }) => Effect.as(stdout(`${argv.slice(1).join(" ")}\n`), 0),
  /** Writes the first bytes of stdin, and ends. */
  head: ({ argv, read, stdout }) =>
    Effect.gen(function*() {
      let left = Number(argv[1])
      while (left > 0) {
        const chunk = yield* read
        if (chunk === undefined) return 0
        yield* stdout(chunk.subarray(0, left))
        left -= chunk.length
      }
      return 0
    }),
  /** Writes for ever. */
  yes: ({ stdout }) => Effect.forever(stdout(new Uint8Array(32_768).fill(0x79))),
  /** Writes so many bytes. */
  produce: ({ argv, stdout }) =>
    Effect.gen(function*() {
      const size = Number(argv[1])
      for (let at = 0; at < size; at += 32_768) {
        yield* stdout(Uint8Array.from({ length: Math.min(32_768, size - at) }, (_, i) => (at + i) % 251))
      }
      return 0
    }),
  /** Reads all of stdin and writes its length. */
  count: ({ read, stdout }) =>
    Effect.gen(function*() {
      let size = 0
      while (true) {
        const chunk = yield* read
        if (chunk === undefined) return yield* Effect.as(stdout(String(size)), 0)
        size += chunk.length
      }
    }),
  /** Says so on stderr and ends with the code. */
  fail: ({ argv, stderr }) => Effect.as(stderr(argv[2] ?? "failed\n"), Number(argv[1])),
  /** Copies stdin and then ends with the code. */
  tee: (io) => Effect.flatMap(copy(io), () => Effect.as(io.stderr("tee failed\n"), Number(io.argv[1]))),
  /** Never ends by itself. */
  hang: () => Effect.never,
  env: ({ cwd, env, stdout }) => Effect.as(stdout(JSON.stringify({ env, cwd })), 0),
  exit: ({ argv }) => Effect.succeed(Number(argv[1]))
}

interface Parsed {
  readonly record: string
  readonly stdin: boolean
  readonly preamble: boolean
  readonly endWithSession: boolean
  readonly env: Record<string, string>
  readonly cwd: string | undefined
  readonly argv: ReadonlyArray<string>
}

/** What the supervisor's script is told by its arguments; nothing for a bare command. */
export const parseSupervised = (command: ReadonlyArray<string>): Parsed | undefined => {
  const [sh, c, script = "", name, record = "", ...rest] = command
  if (sh !== "sh" || c !== "-c" || name !== "effect-k8s") return undefined
  const env: Record<string, string> = {}
  if (script.includes("export \"$1\"")) {
    while (true) {
      const word = rest.shift()
      if (word === undefined || word === "--") break
      env[word.slice(0, word.indexOf("="))] = word.slice(word.indexOf("=") + 1)
    }
  }
  return {
    record,
    env,
    cwd: script.includes("cd \"$1\"") ? rest.shift() : undefined,
    preamble: script.includes("IFS= read"),
    stdin: !script.includes("</dev/null"),
    endWithSession: script.includes("ek_h=1"),
    argv: rest
  }
}

/** Stdin as chunks that end, and the end of the session. */
const openStdin = Effect.fnUntraced(function*(session: ServerSession) {
  const chunks = yield* Queue.unbounded<Uint8Array, Cause.Done>()
  const ended = yield* Deferred.make<void>()
  const pump = Effect.gen(function*() {
    while (true) {
      const sent = yield* session.next
      if (sent._tag === "Stdin") yield* Queue.offer(chunks, sent.bytes)
      if (sent._tag === "StdinEnded" || sent._tag === "Close" || sent._tag === "Fin") {
        yield* Queue.end(chunks)
        yield* Deferred.succeed(ended, undefined)
        if (sent._tag !== "StdinEnded") return
      }
    }
  })
  yield* Effect.forkScoped(pump)
  return { read: Pull.catchDone(Queue.take(chunks), () => Effect.undefined), ended: Deferred.await(ended) }
})

/** Reads the preamble: the variables, and what came behind it in the last chunk. */
const readPreamble = Effect.fnUntraced(function*(read: Io["read"], record: string) {
  let text = ""
  while (!text.includes(`${record}\n`)) {
    const chunk = yield* read
    if (chunk === undefined) break
    // Latin-1, so that bytes of stdin behind it survive.
    text += Buffer.from(chunk).toString("latin1")
  }
  const [variables = "", ...rest] = text.split(`${record}\n`)
  const env: Record<string, string> = {}
  for (const [, value = "", name = ""] of variables.matchAll(/^ek_v='((?:[^']|'\\'')*)'\nexport (\w+)=/gm)) {
    env[name] = Buffer.from(value.replaceAll("'\\''", "'"), "latin1").toString()
  }
  return { env, rest: Buffer.from(rest.join(`${record}\n`), "latin1") }
})

/** Runs the programs of a container, as its runtime and the supervisor in it would. */
export const serve = (programs: Programs): Script => (session) =>
  Effect.scoped(Effect.gen(function*() {
    const supervised = parseSupervised(session.asked.command)
    const stdin = yield* openStdin(session)
    const { stderr, stdout } = session
    if (supervised === undefined) {
      const [name = ""] = session.asked.command
      const program = programs[name]
      if (program === undefined) {
        yield* session.status(internalError(`exec: "${name}": executable file not found in $PATH`))
        return yield* session.goodbye()
      }
      const io = { argv: session.asked.command, env: {}, cwd: undefined, read: stdin.read, stdout, stderr }
      const code = yield* program(io)
      yield* session.status(exitStatus(code))
      return yield* session.goodbye()
    }

    const { record } = supervised
    yield* stdout(`${record}@4711\n`)
    const preamble = supervised.preamble ? yield* readPreamble(stdin.read, record) : undefined
    let early = preamble === undefined || preamble.rest.length === 0 ? undefined : preamble.rest
    const read = Effect.suspend(() => {
      const first = early
      early = undefined
      return first === undefined ? stdin.read : Effect.succeed<Uint8Array>(first)
    })
    const [name = ""] = supervised.argv
    const program = programs[name]
    const trailer = Effect.fnUntraced(function*(text: string, code: number) {
      yield* stdout(`${record}:${text}\n`)
      yield* stderr(`${record}:${text}\n`)
      yield* stdin.ended
      yield* session.status(exitStatus(code))
      yield* session.goodbye()
    })
    if (program === undefined) return yield* trailer("n", 127)
    const running = yield* Effect.forkScoped(program({
      argv: supervised.argv,
      env: { ...supervised.env, ...preamble?.env },
      cwd: supervised.cwd,
      read: supervised.stdin ? read : Effect.undefined,
      stdout,
      stderr
    }))
    const code = yield* supervised.endWithSession
      ? Effect.raceFirst(Fiber.join(running), Effect.as(stdin.ended, 143))
      : Fiber.join(running)
    yield* Fiber.interrupt(running)
    yield* trailer(String(code), code)
  }))
