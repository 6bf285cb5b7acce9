/**
 * The command line: `effect-k8s-codegen generate` for users, `built-ins` for this repository.
 */
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as BuiltIns from "./BuiltIns.ts"
import type { ImportOptions } from "./emit/Module.ts"
import * as Write from "./emit/Write.ts"
import { generate } from "./Generate.ts"
import * as Folder from "./load/Folder.ts"
import * as Lock from "./load/Lock.ts"

const generateCommand = Command.make("generate", {
  openapi: Flag.Directory("openapi", { mustExist: true }).pipe(
    Flag.withDescription(
      "folder of OpenAPI 3 documents, one for each group-version, as /openapi/v3 of a cluster serves them"
    )
  ),
  out: Flag.Directory("out").pipe(Flag.withDescription("folder to write the modules to")),
  runtime: Flag.String("runtime").pipe(
    Flag.withDescription("module of the runtime types"),
    Flag.withDefault("@effect-k8s/core/Resource")
  ),
  extension: Flag.Literals("extension", [".js", ".ts"]).pipe(
    Flag.withDescription("extension of the imports between modules"),
    Flag.withDefault(".js" as const)
  ),
  lock: Flag.File("lock").pipe(
    Flag.withDescription("file to write the digests of the documents to"),
    Flag.optional
  )
}, (options) =>
  Effect.gen(function*() {
    const openapi = yield* Folder.load(options.openapi)
    const imports: ImportOptions = { runtime: options.runtime, extension: options.extension }
    const output = yield* generate({ openapi }, imports)
    yield* Write.modules(options.out, output.modules)
    if (Option.isSome(options.lock)) yield* Write.file(options.lock.value, Lock.text({ openapi }))
    yield* Console.log(`wrote ${output.modules.length} modules to ${options.out}`)
  })).pipe(Command.withDescription("Generate one module for each group-version"))

const builtInsCommand = Command.make("built-ins", {
  documents: Argument.Directory("documents").pipe(Argument.withDefault(BuiltIns.documents))
}, ({ documents }) =>
  Effect.gen(function*() {
    const { lock, modules, resources } = yield* BuiltIns.make(documents)
    yield* Write.modules(BuiltIns.targets.modules, modules)
    yield* Write.file(BuiltIns.targets.resources, resources)
    yield* Write.file(BuiltIns.targets.lock, lock)
    yield* Console.log(`wrote ${modules.length} modules to ${BuiltIns.targets.modules}`)
  })).pipe(Command.withDescription("Regenerate the modules of @effect-k8s/core, from its root"), Command.unlisted)

/** The command. */
export const command = Command.make("effect-k8s-codegen").pipe(
  Command.withDescription("Typed Kubernetes resources from OpenAPI documents"),
  Command.withSubcommands([generateCommand, builtInsCommand])
)
