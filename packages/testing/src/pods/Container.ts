/**
 * A container: its command as a local process, run again as the pod's restart policy says, its log, and its state.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import * as Path from "node:path"
import type { MainProcess, Tap } from "./AttachProcess.ts"
import * as ContainerLog from "./ContainerLog.ts"
import type { ContainerSpec } from "./ContainerSpec.ts"
import * as Images from "./Images.ts"
import * as LocalProcess from "./LocalProcess.ts"
import type { Notice } from "./Notice.ts"
import type { ContainerState, ContainerView, Terminated } from "./PodStatus.ts"
import * as Programs from "./Programs.ts"
import type { Pty } from "./Pty.ts"
import * as Runtime from "./Runtime.ts"

/** Where a container belongs, and by which rules it runs. */
export interface Options {
  readonly runtime: Runtime.Runtime
  readonly namespace: string
  readonly pod: string
  readonly uid: string
  /** The pod's directory. */
  readonly directory: string
  readonly spec: ContainerSpec
  readonly restartPolicy: string
  readonly logBytes: number
  readonly restartMillis: number
  /** Told of every change of state. */
  readonly changed: Effect.Effect<void>
  /** Told as well, for those who wait. */
  readonly notice: Notice
  /** Whether the pod is being ended, so that nothing is started again. */
  readonly isStopping: () => boolean
}

/** A container of a pod. */
export interface Container {
  readonly spec: ContainerSpec
  readonly view: () => ContainerView
  /** What execs run in; nothing unless the container runs. */
  readonly running: () => Runtime.RunningContainer | undefined
  /** What clients attach to; nothing unless the container runs. */
  readonly main: () => MainProcess | undefined
  /** The log of the current run, or else of the last one. */
  readonly log: () => ContainerLog.ContainerLog | undefined
  readonly previousLog: () => ContainerLog.ContainerLog | undefined
  /** Asks its command to end. */
  readonly terminate: () => void
  /** What became of a container that was ended by force. */
  readonly settle: (now: number) => void
  /** Runs it until it is not to be started again. The scope ends it by force. */
  readonly life: Effect.Effect<void>
}

const maxRestartMillis = 5_000
const drainMillis = 2_000

// A first restart comes at once; those after it wait, each twice as long.
const backoff = (restarts: number, first: number): number =>
  restarts === 0 ? 0 : Math.min(first * 2 ** (restarts - 1), maxRestartMillis)

const addresses = {
  KUBERNETES_SERVICE_HOST: "10.96.0.1",
  KUBERNETES_SERVICE_PORT: "443"
}

// Below the container's directory whatever it is: nothing of the host may be taken for the container's own.
const workingDirectory = (home: string, asked: string | undefined): string =>
  Path.join(home, Path.join("/", asked ?? ""))

/** A container that does not run yet. */
export const make = (options: Options): Container => {
  const { namespace, notice, pod, restartPolicy, runtime, spec } = options
  const home = Path.join(options.directory, spec.name)
  // No container can have this name.
  const binDirectory = `${home}.bin`
  const image = Images.find(runtime.images, spec.image)
  const waitsFor = spec.kind === "main" ? "ContainerCreating" : "PodInitializing"

  let state: ContainerState = { _tag: "Waiting", reason: waitsFor }
  let last: Terminated | undefined
  let restarts = 0
  let id = ""
  let log: ContainerLog.ContainerLog | undefined
  let previousLog: ContainerLog.ContainerLog | undefined
  let current: Runtime.RunningContainer | undefined
  let main: MainProcess | undefined

  const enter = (next: ContainerState): Effect.Effect<void> =>
    Effect.andThen(
      Effect.sync(() => {
        state = next
        notice.notify()
      }),
      options.changed
    )

  const place = (): Runtime.RunningContainer => ({
    namespace,
    pod,
    name: spec.name,
    id,
    home,
    cwd: workingDirectory(home, spec.workingDir),
    env: {
      PATH: image.programs === undefined ? runtime.hostPath : binDirectory,
      HOSTNAME: pod,
      HOME: home,
      ...addresses,
      ...spec.env
    },
    programs: image.programs,
    isRunning: () => current !== undefined
  })

  const prepare = (container: Runtime.RunningContainer): Effect.Effect<void> => {
    const links = new Map((image.programs ?? []).flatMap((name) => {
      const file = Programs.search(name, runtime.hostPath)
      return file === undefined ? [] : [[name, file] as const]
    }))
    return Effect.all([
      Runtime.makeDirectory(home),
      Runtime.makeDirectory(container.cwd),
      image.programs === undefined ? Effect.void : Runtime.linkPrograms(binDirectory, links)
    ], { discard: true })
  }

  const launch = Effect.fnUntraced(function*(
    container: Runtime.RunningContainer,
    pty: Pty | undefined
  ): Effect.fn.Return<LocalProcess.LocalProcess | string, never, Scope.Scope> {
    const [name, ...args] = spec.argv
    if (name === undefined) return "no command specified"
    const path = container.env["PATH"] ?? ""
    const resolved = Programs.resolve(name, { path, cwd: container.cwd, home, programs: container.programs })
    if (resolved._tag !== "Found") return resolved.why
    const start = pty?.start ?? LocalProcess.start
    const started = yield* start({
      file: resolved.file,
      argv: [name, ...args],
      cwd: container.cwd,
      env: container.env,
      stdin: spec.stdin,
      stdout: true,
      stderr: pty === undefined
    }, runtime.fifos)
    return started._tag === "Started" ? started : `exec ${name}: ${started.code}`
  })

  const record = Effect.fnUntraced(function*(
    output: "stdout" | "stderr",
    source: LocalProcess.Source | undefined,
    to: ContainerLog.ContainerLog,
    taps: ReadonlySet<Tap>
  ): Effect.fn.Return<void> {
    if (source === undefined) return
    while (true) {
      const bytes = yield* source.pull
      if (bytes === undefined) return
      to.append(output, bytes, yield* Clock.currentTimeMillis)
      notice.notify()
      for (const tap of taps) yield* tap.offer(output === "stdout" ? 1 : 2, bytes)
    }
  })

  // One run, to its end. Whatever ends it, all processes of the container end with it.
  const once = Effect.fnUntraced(function*(): Effect.fn.Return<Terminated, never, Scope.Scope> {
    id = Runtime.randomId()
    const container = place()
    const ownLog = ContainerLog.make(options.logBytes)
    previousLog = log
    log = ownLog
    const taps = new Set<Tap>()
    let isOver = false
    const finish = (): void => {
      isOver = true
      notice.notify()
    }
    yield* prepare(container)
    yield* Effect.addFinalizer(() =>
      Effect.gen(function*() {
        current = undefined
        main = undefined
        yield* Runtime.killAll(runtime.table, home)
        ownLog.end(yield* Clock.currentTimeMillis)
        finish()
      })
    )
    const pty = spec.tty ? yield* runtime.pty : undefined
    const started = yield* launch(container, pty)
    const startedAt = yield* Clock.currentTimeMillis
    if (typeof started === "string") {
      return {
        _tag: "Terminated",
        exitCode: 128,
        reason: "StartError",
        message: "failed to create containerd task: failed to create shim task: OCI runtime create failed: " +
          `runc create failed: unable to start container process: ${started}`,
        startedAt: 0,
        finishedAt: startedAt,
        containerId: id
      }
    }
    runtime.table.add({
      pid: started.pid,
      owner: { namespace, pod, container: spec.name },
      home,
      argv: spec.argv,
      hasEnded: started.hasEnded
    })
    main = {
      process: started,
      stdinOnce: spec.stdinOnce,
      tty: pty !== undefined,
      tap: (tap) => taps.add(tap),
      untap: (tap) => taps.delete(tap),
      over: notice.until(() => isOver)
    }
    current = container
    const outputs = Effect.all([
      record("stdout", started.stdout, ownLog, taps),
      record("stderr", started.stderr, ownLog, taps)
    ], { concurrency: "unbounded", discard: true })
    const recording = yield* Effect.forkChild(outputs)
    yield* enter({ _tag: "Running", startedAt })
    const exitCode = yield* started.exitCode
    current = undefined
    main = undefined
    yield* Runtime.killAll(runtime.table, home)
    // Where not every process can be found, one that is left may hold the pipes.
    yield* Effect.raceFirst(Fiber.join(recording), Runtime.pause(drainMillis))
    finish()
    const finishedAt = yield* Clock.currentTimeMillis
    return {
      _tag: "Terminated",
      exitCode,
      reason: exitCode === 0 ? "Completed" : "Error",
      startedAt,
      finishedAt,
      containerId: id
    }
  }, Effect.scoped)

  const isRestarted = (exitCode: number): boolean => {
    if (options.isStopping() || spec.kind === "ephemeral") return false
    if (exitCode === 0) return restartPolicy === "Always" && spec.kind === "main"
    return restartPolicy !== "Never"
  }

  const life = Effect.gen(function*() {
    while (true) {
      const ended = yield* once()
      yield* enter(ended)
      if (!isRestarted(ended.exitCode)) return
      last = ended
      const millis = backoff(restarts, options.restartMillis)
      if (millis > 0) {
        yield* enter({
          _tag: "Waiting",
          reason: "CrashLoopBackOff",
          message:
            `back-off ${millis}ms restarting failed container=${spec.name} pod=${pod}_${namespace}(${options.uid})`
        })
        yield* Effect.timeoutOption(notice.until(options.isStopping), millis)
        if (options.isStopping()) return
      }
      restarts++
    }
  })

  return {
    spec,
    view: () => ({ spec, state, last, restarts, id }),
    running: () => current,
    main: () => main,
    log: () => log,
    previousLog: () => previousLog,
    terminate: () => main?.process.signal("SIGTERM"),
    settle: (now) => {
      if (state._tag !== "Running") return
      const { startedAt } = state
      const reason = "Error"
      state = { _tag: "Terminated", exitCode: 137, reason, startedAt, finishedAt: now, containerId: id }
    },
    life
  }
}
