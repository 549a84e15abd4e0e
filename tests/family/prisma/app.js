// A todo list on Prisma, Express and @bemi-db/prisma, as its documentation tells to set it up.
//
// It prints the port that it listens on, and ends with its standard input.

const fs = require('node:fs')
const path = require('node:path')
const { tmpdir } = require('node:os')
const { execFileSync } = require('node:child_process')

const run = (folder, program, ...rest) =>
  execFileSync(process.execPath, [path.join(__dirname, 'node_modules', program), ...rest], {
    cwd: folder,
    stdio: ['ignore', 'ignore', 'inherit'],
  })

// The client plans its queries in WebAssembly, which comes with the package. The generator asks for
// the engines that it no longer needs all the same, unless told where they are.
const generate = () => {
  const nowhere = path.join(__dirname, 'no-engine')
  fs.writeFileSync(nowhere, '')
  Object.assign(process.env, {
    PRISMA_QUERY_ENGINE_LIBRARY: nowhere,
    PRISMA_SCHEMA_ENGINE_BINARY: nowhere,
    CHECKPOINT_DISABLE: '1',
    PRISMA_HIDE_UPDATE_MESSAGE: '1',
  })
  run(__dirname, 'prisma/build/index.js', 'generate', '--no-hints')
}

// The package writes its migration into a file. Running it is the schema engine's, which is no
// package of npm: so it goes to the server as the engine would send it, as one script.
const migrate = async () => {
  // In a folder of its own: several databases are migrated at the same time.
  const folder = fs.mkdtempSync(path.join(tmpdir(), 'prisma-'))
  const migrations = path.join(folder, 'prisma/migrations')
  fs.mkdirSync(migrations, { recursive: true })
  run(folder, '@bemi-db/prisma/dist/cli.js', 'migration:create')
  const [name] = fs.readdirSync(migrations)
  const migration = fs.readFileSync(path.join(migrations, name, 'migration.sql'), 'utf8')
  fs.rmSync(folder, { recursive: true })

  const client = new (require('pg').Client)(process.env.DATABASE_URL)
  await client.connect()
  await client.query('CREATE TABLE "todo" ("id" SERIAL PRIMARY KEY, "task" TEXT NOT NULL)')
  await client.query(migration)
  await client.end()
}

// Without an engine this version gives JSON as a text, and dates as nothing.
const parsed = (change) =>
  Object.fromEntries(
    Object.entries(change).map(([name, value]) => [
      name,
      typeof value.value === 'string' ? JSON.parse(value.value) : value,
    ]),
  )

const raw = async (sql) => {
  const client = new (require('pg').Client)(process.env.DATABASE_URL)
  await client.connect()
  const { rows } = await client.query(sql)
  await client.end()
  return rows
}

const serve = () => {
  const express = require('express')
  const { PrismaPg, withBemiExtension, bemiMiddleware, mergeBemiContext } = require('@bemi-db/prisma')
  const { PrismaClient } = require('./generated')

  const adapter = new PrismaPg({ connectionString: process.env.DATABASE_URL })
  const prisma = withBemiExtension(new PrismaClient({ adapter }))

  const app = express()
  app.use(express.json())
  app.use(bemiMiddleware((request) => JSON.parse(request.get('X-Context'))))

  const route = (method, path, answer) =>
    app[method](path, (request, response, next) =>
      answer(request).then((body) => response.json(body), next),
    )
  route('post', '/todos', ({ body }) => prisma.todo.create({ data: { task: body.task } }))
  route('put', '/todos/:id', ({ params, body }) =>
    prisma.todo.update({ where: { id: Number(params.id) }, data: { task: body.task } }),
  )
  route('delete', '/todos/:id', ({ params }) =>
    prisma.todo.delete({ where: { id: Number(params.id) } }),
  )
  // Several rows by one statement, several statements in one transaction, SQL of one's own, and a
  // context that grows.
  route('post', '/more', async () => {
    await prisma.todo.createMany({ data: [{ task: 'a' }, { task: 'b' }, { task: 'c' }] })
    await prisma.$transaction([
      prisma.todo.updateMany({ where: { task: 'a' }, data: { task: 'A' } }),
      prisma.todo.updateMany({ where: { task: 'b' }, data: { task: 'B' } }),
    ])
    mergeBemiContext({ step: 'raw' })
    await prisma.$executeRaw`UPDATE todo SET task = ${'C'} WHERE task = ${'c'}`
    return {}
  })
  route('post', '/changes', async ({ body }) => ({
    model: await prisma.change.findMany({
      where: { table: 'todo', context: { path: ['user_id'], equals: body.user_id } },
      orderBy: { committedAt: 'desc' },
      take: 1,
    }).then((changes) => changes.map(parsed)),
    // $queryRaw cannot read rows without an engine in this version: the driver beneath it can.
    raw: await raw(
      `SELECT * FROM "changes"
       WHERE "table" = 'todo' AND "context" @> '${JSON.stringify({ user_id: body.user_id })}'
       ORDER BY "committed_at" DESC
       LIMIT 1`,
    ),
  }))

  process.stdin.on('end', () => process.exit(0)).resume()
  const server = app.listen(0, '127.0.0.1', () => console.log(server.address().port))
}

if (process.argv[2] === 'generate') {
  generate()
} else if (process.argv[2] === 'migrate') {
  migrate().catch((error) => {
    console.error(error)
    process.exit(1)
  })
} else {
  serve()
}
