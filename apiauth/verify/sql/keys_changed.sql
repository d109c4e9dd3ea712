WHERE change_xid >= %(horizon)s::text::xid8
