import * as Write from "@effect-k8s/codegen/emit/Write"
import * as Project from "@effect-k8s/codegen/Project"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Queue from "effect/Queue"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import * as Path from "node:path"
import { definition } from "./support/documents.ts"
import { platform } from "./support/platform.ts"

describe("watching", () => {
  it.live(
    "generates again when a definition changes, and goes on after one that is malformed",
    () =>
      Effect.gen(function*() {
        const fs = yield* FileSystem.FileSystem
        const folder = yield* fs.makeTempDirectoryScoped()
        const write = (path: string, text: string) => Write.file(Path.join(folder, path), text)
        yield* write("crds/a.yaml", definition({ kind: "Apple", plural: "apples" }))
        const runs = yield* Queue.unbounded<Result.Result<Project.Generated, Error>>()
        const loaded = { config: { sources: ["crds/*.yaml"], out: "src" }, folder } as const
        yield* Effect.forkScoped(Stream.runForEach(Project.watch(loaded), (run) => Queue.offer(runs, run)))

        type Run = Result.Result<Project.Generated, Error>
        const until = (expected: (run: Run) => boolean) =>
          Effect.gen(function*() {
            while (!expected(yield* Queue.take(runs)));
          })
        const kinds = (number: number) => (run: Run) => Result.isSuccess(run) && run.success.kinds === number
        yield* until(kinds(1))
        // A watcher takes a moment to begin, and hears of a file only when it is written. `write` leaves one that is as it
        // should be.
        const pear = definition({ kind: "Pear", plural: "pears" })
        const pears = Effect.uninterruptible(fs.writeFileString(Path.join(folder, "crds/b.yaml"), pear))
        yield* Effect.raceFirst(until(kinds(2)), Effect.forever(Effect.andThen(pears, Effect.sleep("500 millis"))))
        assert.include(yield* fs.readFileString(Path.join(folder, "src/example.com/v1.ts")), "export const Pear")
        yield* write("crds/b.yaml", definition({ kind: "{}" }))
        yield* until((run) =>
          Result.isFailure(run) && run.failure.message.includes("crds/b.yaml, document 1, spec.names.kind")
        )
        assert.include(yield* fs.readFileString(Path.join(folder, "src/example.com/v1.ts")), "export const Pear")
        yield* fs.remove(Path.join(folder, "crds/b.yaml"))
        yield* until(kinds(1))
        assert.notInclude(yield* fs.readFileString(Path.join(folder, "src/example.com/v1.ts")), "export const Pear")
      }).pipe(Effect.scoped, Effect.provide(platform())),
    30_000
  )

  it.live(
    "of a single file goes on when an editor puts another one in its place",
    () =>
      Effect.gen(function*() {
        const fs = yield* FileSystem.FileSystem
        const folder = yield* fs.makeTempDirectoryScoped()
        const at = (name: string) => Path.join(folder, name)
        yield* Write.file(at("a.yaml"), definition({ kind: "Apple", plural: "apples" }))
        const runs = yield* Queue.unbounded<Result.Result<Project.Generated, Error>>()
        const loaded = { config: { sources: ["a.yaml"], out: "src" }, folder } as const
        yield* Effect.forkScoped(Stream.runForEach(Project.watch(loaded), (run) => Queue.offer(runs, run)))
        const until = (kind: string) =>
          Effect.gen(function*() {
            let text = ""
            while (!text.includes(`export const ${kind}:`)) {
              yield* Queue.take(runs)
              text = yield* fs.readFileString(at("src/example.com/v1.ts"))
            }
          })
        yield* until("Apple")
        // What is under way when nobody waits for it any more would come after the next one.
        const put = (kind: string) =>
          Effect.uninterruptible(Effect.andThen(
            Write.file(at("a.yaml.new"), definition({ kind, plural: "apples" })),
            fs.rename(at("a.yaml.new"), at("a.yaml"))
          ))
        // A watcher takes a moment to begin.
        const again = Effect.forever(Effect.andThen(put("Pear"), Effect.sleep("500 millis")))
        yield* Effect.raceFirst(until("Pear"), again)
        for (const kind of ["Quince", "Medlar"]) {
          yield* put(kind)
          yield* until(kind)
        }
      }).pipe(Effect.scoped, Effect.provide(platform())),
    30_000
  )
})
