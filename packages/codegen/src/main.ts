#!/usr/bin/env node
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as Command from "effect/cli/Command"
import * as Digest from "effect/crypto/Digest"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as Layer from "effect/Layer"
import * as Path from "effect/Path"
import { command } from "./Cli.ts"
import { text } from "./internal/json.ts"
import * as ClusterAccess from "./load/ClusterAccess.ts"
import * as Document from "./load/Document.ts"

Effect.gen(function*() {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  // The same place from `src` and from `dist`.
  const file = yield* path.fromFileUrl(new URL("../package.json", import.meta.url))
  const { json } = yield* Document.make(file, yield* fs.readFile(file))
  yield* Command.run(command, { version: text(json.version) })
}).pipe(
  Effect.provide(
    Layer.mergeAll(NodeServices.layer, Digest.layerWebCrypto, FetchHttpClient.layer, ClusterAccess.layerNode)
  ),
  NodeRuntime.runMain
)
