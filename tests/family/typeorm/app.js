// A todo list on TypeORM and Express. @bemi-db/typeorm is not in the registry: what it does is done
// here, which is a comment behind each statement that writes, on its way through the driver.
//
// It prints the port that it listens on, and ends with its standard input.

const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')
const { AsyncLocalStorage } = require('node:async_hooks')
const { execFileSync } = require('node:child_process')

const express = require('express')
const pg = require('pg')
const { DataSource, EntitySchema } = require('typeorm')

const Todo = new EntitySchema({
  name: 'Todo',
  tableName: 'todo',
  columns: {
    id: { type: 'int', primary: true, generated: 'increment' },
    task: { type: 'text' },
  },
})
const source = new DataSource({ type: 'postgres', url: process.env.DATABASE_URL, entities: [Todo] })

// The same triggers, out of the command line of a package that is in the registry.
const migrate = async () => {
  await source.initialize()
  await source.synchronize()
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'bemi-typeorm-'))
  fs.mkdirSync(path.join(folder, 'prisma/migrations'), { recursive: true })
  const program = path.join(__dirname, 'node_modules/@bemi-db/prisma/dist/cli.js')
  execFileSync(process.execPath, [program, 'migration:create'], { cwd: folder, stdio: 'ignore' })
  const [name] = fs.readdirSync(path.join(folder, 'prisma/migrations'))
  const sql = fs.readFileSync(path.join(folder, 'prisma/migrations', name, 'migration.sql'), 'utf8')
  fs.rmSync(folder, { recursive: true })
  await source.query(sql)
  await source.destroy()
}

const contexts = new AsyncLocalStorage()

const sayContexts = () => {
  const query = pg.Client.prototype.query
  pg.Client.prototype.query = function (text, ...rest) {
    const context = contexts.getStore()
    const writes = typeof text === 'string' && /(INSERT|UPDATE|DELETE)\s/i.test(text)
    const said = context && writes ? `${text} /*Bemi ${JSON.stringify(context)} Bemi*/` : text
    return query.call(this, said, ...rest)
  }
}

const serve = async () => {
  sayContexts()
  await source.initialize()
  const todos = source.getRepository(Todo)
  const app = express()
  app.use(express.json())
  app.use((request, response, next) =>
    contexts.run(JSON.parse(request.get('X-Context')), () => next()),
  )
  const route = (method, path, answer) =>
    app[method](path, (request, response, next) =>
      answer(request).then((body) => response.json(body), next),
    )
  const one = ({ params }) => todos.findOneByOrFail({ id: Number(params.id) })
  route('post', '/todos', ({ body }) => todos.save({ task: body.task }))
  route('put', '/todos/:id', async (request) =>
    todos.save({ ...(await one(request)), task: request.body.task }),
  )
  route('delete', '/todos/:id', async (request) => todos.remove(await one(request)))
  process.stdin.on('end', () => process.exit(0)).resume()
  const server = app.listen(0, '127.0.0.1', () => console.log(server.address().port))
}

const failed = (error) => {
  console.error(error)
  process.exit(1)
}
if (process.argv[2] === 'migrate') migrate().catch(failed)
else serve().catch(failed)
