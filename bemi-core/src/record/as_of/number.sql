(SELECT n ->> 'number' FROM jsonb_array_elements({columns}) AS n WHERE n ->> 'name' = u.name)
