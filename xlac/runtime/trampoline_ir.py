"""The LLVM text of `trampoline`. Where it says $NAME a number is filled in; they are explained there."""

TEXT = """
declare void @Py_IncRef(ptr)
declare void @Py_DecRef(ptr)
declare void @PyErr_Clear()
declare ptr @PyErr_NoMemory()
declare ptr @PyMem_Malloc(i64)
declare void @PyMem_Free(ptr)
declare ptr @PyEval_SaveThread()
declare void @PyEval_RestoreThread(ptr)
declare i64 @PyLong_AsLongLongAndOverflow(ptr, ptr)
declare i64 @PyDict_Size(ptr)
declare ptr @PyDict_GetItemWithError(ptr, ptr)
declare ptr @PyDict_New()
declare i32 @PyDict_SetItem(ptr, ptr, ptr)
declare ptr @PyTuple_New(i64)
declare i32 @PyTuple_SetItem(ptr, i64, ptr)
declare ptr @PyList_New(i64)
declare i32 @PyList_SetItem(ptr, i64, ptr)
declare ptr @PyMethod_New(ptr, ptr)
declare ptr @PyObject_CallNoArgs(ptr)
declare ptr @PyObject_CallFunctionObjArgs(ptr, ...)
declare ptr @PyArray_NewFromDescr(ptr, ptr, i32, ptr, ptr, ptr, i32, ptr)
declare i64 @llvm.cttz.i64(i64, i1)
declare i32 @llvm.vector.reduce.add.v${LANES}i32(<$LANES x i32>)

@ndarray = external global i8
@Array = external global i8
@list = external global i8
@dict = external global i8
@float = external global i8
@int = external global i8
@None = external global i8
@True = external global i8
@False = external global i8
@fallback = external global i8

; What a call collects, a table each: for the parameters their addresses, ends, objects and, of numbers, values; objects
; to release afterwards, of which this is the next free place. Behind that: the results' addresses, and their objects.
%Frame = type { ptr, ptr, ptr, ptr, ptr }

; Check `count` objects against the nodes at `code`; the code after them, or null if one does not fit. Objects found in
; containers are referred to until the call is over, as others might take them out meanwhile.
define internal ptr @walk(ptr %start, ptr %items, i64 %count, i1 %hold, ptr %frame) nounwind {
entry:
  %item = alloca ptr
  %overflow = alloca i32
  br label %head
head:
  %i = phi i64 [0, %entry], [%i1, %next]
  %code = phi ptr [%start, %entry], [%after, %next]
  %more = icmp ult i64 %i, %count
  br i1 %more, label %visit, label %done
done:
  ret ptr %code
fail:
  ret ptr null
visit:
  %at = getelementptr ptr, ptr %items, i64 %i
  %o = load ptr, ptr %at
  %ptype = getelementptr i8, ptr %o, i64 $TYPE
  %type = load ptr, ptr %ptype
  %kind = load i64, ptr %code
  %p1 = getelementptr i64, ptr %code, i64 1
  %w1 = load i64, ptr %p1
  %p2 = getelementptr i64, ptr %code, i64 2
  switch i64 %kind, label %fail [
    i64 $ARRAY, label %array
    i64 $IS, label %is
    i64 $TUPLE, label %tuple
    i64 $LIST, label %list
    i64 $DICT, label %dict
    i64 $FLOAT, label %float
    i64 $INT32, label %int
    i64 $INT64, label %int
    i64 $BOOL, label %bool
    i64 $INTEGER, label %integer
  ]

array:
  %isnumpys = icmp eq ptr %type, @ndarray
  %isours = icmp eq ptr %type, @Array
  %isarray = or i1 %isnumpys, %isours
  br i1 %isarray, label %array.dtype, label %fail
array.dtype:
  %pdescr = getelementptr i8, ptr %o, i64 $ARRAY_DESCR
  %descr = load ptr, ptr %pdescr
  %wantdescr = load ptr, ptr %p2
  %samedescr = icmp eq ptr %descr, %wantdescr
  br i1 %samedescr, label %array.ndim, label %fail
array.ndim:
  %pndim = getelementptr i8, ptr %o, i64 $ARRAY_NDIM
  %ndim32 = load i32, ptr %pndim
  %ndim = zext i32 %ndim32 to i64
  %p3 = getelementptr i64, ptr %code, i64 3
  %wantndim = load i64, ptr %p3
  %samendim = icmp eq i64 %ndim, %wantndim
  br i1 %samendim, label %array.flags, label %fail
array.flags:
  %pflags = getelementptr i8, ptr %o, i64 $ARRAY_FLAGS
  %flags = load i32, ptr %pflags
  %p4 = getelementptr i64, ptr %code, i64 4
  %wantflags = load i32, ptr %p4
  %have = and i32 %flags, %wantflags
  %haveall = icmp eq i32 %have, %wantflags
  br i1 %haveall, label %array.dims, label %fail
array.dims:
  %pdims = getelementptr i8, ptr %o, i64 $ARRAY_DIMS
  %dims = load ptr, ptr %pdims
  %p6 = getelementptr i64, ptr %code, i64 6
  br label %array.dim
array.dim:
  %d = phi i64 [0, %array.dims], [%d1, %array.nextdim]
  %anydim = icmp ult i64 %d, %ndim
  br i1 %anydim, label %array.nextdim, label %array.take
array.nextdim:
  %pdim = getelementptr i64, ptr %dims, i64 %d
  %dim = load i64, ptr %pdim
  %pwantdim = getelementptr i64, ptr %p6, i64 %d
  %wantdim = load i64, ptr %pwantdim
  %samedim = icmp eq i64 %dim, %wantdim
  %d1 = add i64 %d, 1
  br i1 %samedim, label %array.dim, label %fail
array.take:
  %pdata = getelementptr i8, ptr %o, i64 $ARRAY_DATA
  %data = load ptr, ptr %pdata
  %p5 = getelementptr i64, ptr %code, i64 5
  %bytes = load i64, ptr %p5
  %end = getelementptr i8, ptr %data, i64 %bytes
  %addresses = load ptr, ptr %frame
  %paddress = getelementptr ptr, ptr %addresses, i64 %w1
  store ptr %data, ptr %paddress
  %pends = getelementptr %Frame, ptr %frame, i64 0, i32 1
  %ends = load ptr, ptr %pends
  %pend = getelementptr ptr, ptr %ends, i64 %w1
  store ptr %end, ptr %pend
  %pobjects = getelementptr %Frame, ptr %frame, i64 0, i32 2
  %objects = load ptr, ptr %pobjects
  %pobject = getelementptr ptr, ptr %objects, i64 %w1
  store ptr %o, ptr %pobject
  %afterarray = getelementptr i64, ptr %p6, i64 %ndim
  br i1 %hold, label %array.hold, label %next
array.hold:
  call void @Py_IncRef(ptr %o)
  %pheld = getelementptr %Frame, ptr %frame, i64 0, i32 4
  %held = load ptr, ptr %pheld
  store ptr %o, ptr %held
  %held1 = getelementptr ptr, ptr %held, i64 1
  store ptr %held1, ptr %pheld
  br label %next

is:
  %want = load ptr, ptr %p1
  %same = icmp eq ptr %o, %want
  br i1 %same, label %next, label %fail

tuple:
  %wanttype = load ptr, ptr %p1
  %istuple = icmp eq ptr %type, %wanttype
  br i1 %istuple, label %tuple.size, label %fail
tuple.size:
  %ptsize = getelementptr i8, ptr %o, i64 $SIZE
  %tsize = load i64, ptr %ptsize
  %wanttsize = load i64, ptr %p2
  %sametsize = icmp eq i64 %tsize, %wanttsize
  br i1 %sametsize, label %tuple.walk, label %fail
tuple.walk:
  %titems = getelementptr i8, ptr %o, i64 $TUPLE_ITEMS
  %tcode = getelementptr i64, ptr %code, i64 3
  call void @Py_IncRef(ptr %o)
  %aftertuple = call ptr @walk(ptr %tcode, ptr %titems, i64 %tsize, i1 true, ptr %frame)
  call void @Py_DecRef(ptr %o)
  %tfits = icmp ne ptr %aftertuple, null
  br i1 %tfits, label %next, label %fail

list:
  %islist = icmp eq ptr %type, @list
  br i1 %islist, label %list.size, label %fail
list.size:
  call void @Py_IncRef(ptr %o)
  br label %list.check
list.check:    ; comparing the keys of a dictionary may run code that changes a list
  %l = phi i64 [0, %list.size], [%l1, %list.walk]
  %lcode = phi ptr [%p2, %list.size], [%lafter, %list.walk]
  %plsize = getelementptr i8, ptr %o, i64 $SIZE
  %lsize = load i64, ptr %plsize
  %samelsize = icmp eq i64 %lsize, %w1
  br i1 %samelsize, label %list.item, label %list.fail
list.item:
  %lmore = icmp ult i64 %l, %w1
  br i1 %lmore, label %list.walk, label %list.done
list.walk:
  %plitems = getelementptr i8, ptr %o, i64 $LIST_ITEMS
  %litems = load ptr, ptr %plitems
  %plitem = getelementptr ptr, ptr %litems, i64 %l
  %litem = load ptr, ptr %plitem
  store ptr %litem, ptr %item
  %lafter = call ptr @walk(ptr %lcode, ptr %item, i64 1, i1 true, ptr %frame)
  %lfits = icmp ne ptr %lafter, null
  %l1 = add i64 %l, 1
  br i1 %lfits, label %list.check, label %list.fail
list.done:
  call void @Py_DecRef(ptr %o)
  br label %next
list.fail:
  call void @Py_DecRef(ptr %o)
  ret ptr null

dict:
  %isdict = icmp eq ptr %type, @dict
  br i1 %isdict, label %dict.size, label %fail
dict.size:
  %dsize = call i64 @PyDict_Size(ptr %o)
  %samedsize = icmp eq i64 %dsize, %w1
  br i1 %samedsize, label %dict.start, label %fail
dict.start:
  call void @Py_IncRef(ptr %o)
  br label %dict.more
dict.more:
  %k = phi i64 [0, %dict.start], [%k1, %dict.walk]
  %kcode = phi ptr [%p2, %dict.start], [%kafter, %dict.walk]
  %kmore = icmp ult i64 %k, %w1
  br i1 %kmore, label %dict.item, label %dict.done
dict.item:
  %key = load ptr, ptr %kcode
  %value = call ptr @PyDict_GetItemWithError(ptr %o, ptr %key)
  %found = icmp ne ptr %value, null
  br i1 %found, label %dict.walk, label %dict.missing
dict.walk:
  store ptr %value, ptr %item
  %vcode = getelementptr i64, ptr %kcode, i64 1
  %kafter = call ptr @walk(ptr %vcode, ptr %item, i64 1, i1 true, ptr %frame)
  %kfits = icmp ne ptr %kafter, null
  %k1 = add i64 %k, 1
  br i1 %kfits, label %dict.more, label %dict.fail
dict.done:
  call void @Py_DecRef(ptr %o)
  br label %next
dict.missing:
  call void @PyErr_Clear()
  br label %dict.fail
dict.fail:
  call void @Py_DecRef(ptr %o)
  ret ptr null

integer:
  %isinteger = icmp eq ptr %type, @int
  br i1 %isinteger, label %integer.value, label %fail
integer.value:
  %value64 = call i64 @PyLong_AsLongLongAndOverflow(ptr %o, ptr %overflow)
  %overflowed = load i32, ptr %overflow
  %iswhole = icmp eq i32 %overflowed, 0
  %isvalue = icmp eq i64 %value64, %w1
  %isequal = and i1 %iswhole, %isvalue
  br i1 %isequal, label %next, label %fail

float:
  %isfloat = icmp eq ptr %type, @float
  br i1 %isfloat, label %float.take, label %fail
float.take:
  %pfloat = getelementptr i8, ptr %o, i64 $FLOAT_VALUE
  %f = load i64, ptr %pfloat
  br label %number

int:
  %isint = icmp eq ptr %type, @int
  br i1 %isint, label %int.take, label %fail
int.take:
  %n = call i64 @PyLong_AsLongLongAndOverflow(ptr %o, ptr %overflow)
  %over = load i32, ptr %overflow
  %fits64 = icmp eq i32 %over, 0
  br i1 %fits64, label %int.narrow, label %fail
int.narrow:
  %n32 = trunc i64 %n to i32
  %nback = sext i32 %n32 to i64
  %fits32 = icmp eq i64 %nback, %n
  %is32 = icmp eq i64 %kind, $INT32
  %rightint = icmp eq i1 %fits32, %is32
  br i1 %rightint, label %number, label %fail

bool:
  %istrue = icmp eq ptr %o, @True
  %isfalse = icmp eq ptr %o, @False
  %isbool = or i1 %istrue, %isfalse
  %b = zext i1 %istrue to i64
  br i1 %isbool, label %number, label %fail

number:    ; little-endian: the narrower types are its first bytes
  %bits = phi i64 [%f, %float.take], [%n, %int.narrow], [%b, %bool]
  %pvalues = getelementptr %Frame, ptr %frame, i64 0, i32 3
  %values = load ptr, ptr %pvalues
  %pvalue = getelementptr i64, ptr %values, i64 %w1
  store i64 %bits, ptr %pvalue
  %naddresses = load ptr, ptr %frame
  %pnaddress = getelementptr ptr, ptr %naddresses, i64 %w1
  store ptr %pvalue, ptr %pnaddress
  %pnends = getelementptr %Frame, ptr %frame, i64 0, i32 1
  %nends = load ptr, ptr %pnends
  %pnend = getelementptr ptr, ptr %nends, i64 %w1
  store ptr %pvalue, ptr %pnend
  br label %next

next:
  %after = phi ptr [%afterarray, %array.take], [%afterarray, %array.hold], [%p2, %is], [%p2, %integer.value],
                   [%aftertuple, %tuple.walk], [%lcode, %list.done], [%kcode, %dict.done], [%p2, %number]
  %i1 = add i64 %i, 1
  br label %head
}

; Whether the memory of a donated parameter overlaps that of another: empty ranges overlap none.
define internal i1 @overlapping(ptr %program, ptr %starts, ptr %ends) nounwind {
entry:
  %pparameters = getelementptr i64, ptr %program, i64 $PARAMETERS
  %parameters = load i64, ptr %pparameters
  %pdonated = getelementptr i64, ptr %program, i64 $DONATED
  %donated = load i64, ptr %pdonated
  %list = getelementptr i64, ptr %program, i64 $DONATED_LIST
  %any = icmp ne i64 %donated, 0
  br i1 %any, label %pad, label %disjoint
pad:    ; up to a whole number of vectors, with ranges that overlap none
  %p = phi i64 [%parameters, %entry], [%p1, %fill]
  %rest = and i64 %p, $LAST_LANE
  %full = icmp eq i64 %rest, 0
  br i1 %full, label %each, label %fill
fill:
  %pfillstart = getelementptr i64, ptr %starts, i64 %p
  store i64 -1, ptr %pfillstart
  %pfillend = getelementptr i64, ptr %ends, i64 %p
  store i64 0, ptr %pfillend
  %p1 = add i64 %p, 1
  br label %pad
each:
  %i = phi i64 [0, %pad], [%i1, %one.done]
  %pnumber = getelementptr i64, ptr %list, i64 %i
  %number = load i64, ptr %pnumber
  %pstart = getelementptr i64, ptr %starts, i64 %number
  %start = load i64, ptr %pstart
  %pend = getelementptr i64, ptr %ends, i64 %number
  %end = load i64, ptr %pend
  %start1 = insertelement <$LANES x i64> poison, i64 %start, i64 0
  %startv = shufflevector <$LANES x i64> %start1, <$LANES x i64> poison, <$LANES x i32> zeroinitializer
  %end1 = insertelement <$LANES x i64> poison, i64 %end, i64 0
  %endv = shufflevector <$LANES x i64> %end1, <$LANES x i64> poison, <$LANES x i32> zeroinitializer
  br label %one
one:
  %j = phi i64 [0, %each], [%j1, %one]
  %count = phi <$LANES x i32> [zeroinitializer, %each], [%count1, %one]
  %pstarts = getelementptr i64, ptr %starts, i64 %j
  %s = load <$LANES x i64>, ptr %pstarts, align 8
  %pends = getelementptr i64, ptr %ends, i64 %j
  %e = load <$LANES x i64>, ptr %pends, align 8
  %before = icmp ult <$LANES x i64> %s, %endv
  %behind = icmp ugt <$LANES x i64> %e, %startv
  %both = and <$LANES x i1> %before, %behind
  %hits = zext <$LANES x i1> %both to <$LANES x i32>
  %count1 = add <$LANES x i32> %count, %hits
  %j1 = add i64 %j, $LANES
  %jmore = icmp ult i64 %j1, %p
  br i1 %jmore, label %one, label %one.done
one.done:
  %total = call i32 @llvm.vector.reduce.add.v${LANES}i32(<$LANES x i32> %count1)
  %alone = icmp ule i32 %total, 1    ; itself
  %i1 = add i64 %i, 1
  %imore = icmp ult i64 %i1, %donated
  %again = and i1 %alone, %imore
  br i1 %again, label %each, label %answer
answer:
  %not = xor i1 %alone, true
  ret i1 %not
disjoint:
  ret i1 false
}

; Nest results as the nodes at *pcode say; both cursors move on. References to the results are passed over to the new
; object; null with an exception set if there is no memory for it.
define internal ptr @build(ptr %pcode, ptr %presult) nounwind {
entry:
  %code = load ptr, ptr %pcode
  %kind = load i64, ptr %code
  %p1 = getelementptr i64, ptr %code, i64 1
  switch i64 %kind, label %none [
    i64 $RESULT, label %result
    i64 $NEW_TUPLE, label %tuple
    i64 $NEW_LIST, label %list
    i64 $NEW_DICT, label %dict
  ]
none:
  store ptr %p1, ptr %pcode
  call void @Py_IncRef(ptr @None)
  ret ptr @None
result:
  store ptr %p1, ptr %pcode
  %next = load ptr, ptr %presult
  %o = load ptr, ptr %next
  %next1 = getelementptr ptr, ptr %next, i64 1
  store ptr %next1, ptr %presult
  ret ptr %o

tuple:
  %tn = load i64, ptr %p1
  %tcode = getelementptr i64, ptr %code, i64 2
  store ptr %tcode, ptr %pcode
  %t = call ptr @PyTuple_New(i64 %tn)
  %tmade = icmp ne ptr %t, null
  br i1 %tmade, label %tuple.more, label %fail
tuple.more:
  %ti = phi i64 [0, %tuple], [%ti1, %tuple.put]
  %tmore = icmp ult i64 %ti, %tn
  br i1 %tmore, label %tuple.item, label %tuple.done
tuple.item:
  %titem = call ptr @build(ptr %pcode, ptr %presult)
  %tgot = icmp ne ptr %titem, null
  br i1 %tgot, label %tuple.put, label %tuple.fail
tuple.put:
  %tset = call i32 @PyTuple_SetItem(ptr %t, i64 %ti, ptr %titem)
  %ti1 = add i64 %ti, 1
  br label %tuple.more
tuple.done:
  ret ptr %t
tuple.fail:
  call void @Py_DecRef(ptr %t)
  ret ptr null

list:
  %ln = load i64, ptr %p1
  %lcode = getelementptr i64, ptr %code, i64 2
  store ptr %lcode, ptr %pcode
  %l = call ptr @PyList_New(i64 %ln)
  %lmade = icmp ne ptr %l, null
  br i1 %lmade, label %list.more, label %fail
list.more:
  %li = phi i64 [0, %list], [%li1, %list.put]
  %lmore = icmp ult i64 %li, %ln
  br i1 %lmore, label %list.item, label %list.done
list.item:
  %litem = call ptr @build(ptr %pcode, ptr %presult)
  %lgot = icmp ne ptr %litem, null
  br i1 %lgot, label %list.put, label %list.fail
list.put:
  %lset = call i32 @PyList_SetItem(ptr %l, i64 %li, ptr %litem)
  %li1 = add i64 %li, 1
  br label %list.more
list.done:
  ret ptr %l
list.fail:
  call void @Py_DecRef(ptr %l)
  ret ptr null

dict:
  %dn = load i64, ptr %p1
  %dcode = getelementptr i64, ptr %code, i64 2
  store ptr %dcode, ptr %pcode
  %d = call ptr @PyDict_New()
  %dmade = icmp ne ptr %d, null
  br i1 %dmade, label %dict.more, label %fail
dict.more:
  %di = phi i64 [0, %dict], [%di1, %dict.put]
  %dmore = icmp ult i64 %di, %dn
  br i1 %dmore, label %dict.item, label %dict.done
dict.item:
  %pkey = load ptr, ptr %pcode
  %key = load ptr, ptr %pkey
  %pkey1 = getelementptr i64, ptr %pkey, i64 1
  store ptr %pkey1, ptr %pcode
  %ditem = call ptr @build(ptr %pcode, ptr %presult)
  %dgot = icmp ne ptr %ditem, null
  br i1 %dgot, label %dict.put, label %dict.fail
dict.put:
  %dset = call i32 @PyDict_SetItem(ptr %d, ptr %key, ptr %ditem)
  call void @Py_DecRef(ptr %ditem)
  %di1 = add i64 %di, 1
  %dok = icmp eq i32 %dset, 0
  br i1 %dok, label %dict.more, label %dict.fail
dict.done:
  ret ptr %d
dict.fail:
  call void @Py_DecRef(ptr %d)
  ret ptr null
fail:
  ret ptr null
}

define internal void @release(ptr %begin, ptr %end) nounwind {
entry:
  br label %more
more:
  %p = phi ptr [%begin, %entry], [%p1, %one]
  %any = icmp ne ptr %p, %end
  br i1 %any, label %one, label %done
one:
  %o = load ptr, ptr %p
  %p1 = getelementptr ptr, ptr %p, i64 1
  call void @Py_DecRef(ptr %o)
  br label %more
done:
  ret void
}

; Run a program whose parameters are in the frame; the nested results, or null with an exception set. `held` are the
; objects to release, up to the frame's last; behind them the results have their place.
define internal ptr @execute(ptr %binding, ptr %program, ptr %code, ptr %frame, ptr %held, ptr %results) nounwind {
entry:
  %pcode = alloca ptr
  %presult = alloca ptr
  %addresses = load ptr, ptr %frame
  %pobjects = getelementptr %Frame, ptr %frame, i64 0, i32 2
  %objects = load ptr, ptr %pobjects
  %pheldend = getelementptr %Frame, ptr %frame, i64 0, i32 4
  %heldend = load ptr, ptr %pheldend
  %pparameters = getelementptr i64, ptr %program, i64 $PARAMETERS
  %parameters = load i64, ptr %pparameters
  %pnresults = getelementptr i64, ptr %program, i64 $RESULTS
  %nresults = load i64, ptr %pnresults
  %pdonated = getelementptr i64, ptr %program, i64 $DONATED
  %donated = load i64, ptr %pdonated
  %pfree = getelementptr i64, ptr %program, i64 $FREE
  %free = load i64, ptr %pfree
  %arena = call i64 @llvm.cttz.i64(i64 %free, i1 true)
  %bit = shl i64 1, %arena
  %taken = xor i64 %free, %bit
  store i64 %taken, ptr %pfree
  %arenas = getelementptr i64, ptr %program, i64 $ARENAS
  %parena = getelementptr i64, ptr %arenas, i64 %arena
  %memory = load ptr, ptr %parena
  %objects2 = getelementptr ptr, ptr %results, i64 %nresults
  %list = getelementptr i64, ptr %program, i64 $DONATED_LIST
  %first = getelementptr i64, ptr %list, i64 %donated
  br label %allocate
allocate:
  %i = phi i64 [0, %entry], [%i1, %allocated]
  %spec = phi ptr [%first, %entry], [%spec1, %allocated]
  %more = icmp ult i64 %i, %nresults
  br i1 %more, label %choose, label %run
choose:
  %source = load i64, ptr %spec
  %pdescr = getelementptr i64, ptr %spec, i64 1
  %descr = load ptr, ptr %pdescr
  %pndim = getelementptr i64, ptr %spec, i64 2
  %ndim = load i64, ptr %pndim
  %pmaker = getelementptr i64, ptr %spec, i64 3
  %maker = load ptr, ptr %pmaker
  %dims = getelementptr i64, ptr %spec, i64 $RESULT_WORDS
  %spec1 = getelementptr i64, ptr %dims, i64 %ndim
  %fresh = icmp slt i64 %source, 0
  br i1 %fresh, label %new, label %alias
alias:
  %psource = getelementptr ptr, ptr %objects, i64 %source
  %given = load ptr, ptr %psource
  call void @Py_IncRef(ptr %given)
  br label %allocated
new:
  %plain = icmp eq ptr %maker, null
  br i1 %plain, label %small, label %large
small:
  call void @Py_IncRef(ptr %descr)
  %ndim32 = trunc i64 %ndim to i32
  %array = call ptr @PyArray_NewFromDescr(ptr @Array, ptr %descr, i32 %ndim32, ptr %dims, ptr null, ptr null, i32 0,
                                          ptr null)
  br label %made
large:
  %pooled = call ptr @PyObject_CallNoArgs(ptr %maker)
  br label %made
made:
  %object = phi ptr [%array, %small], [%pooled, %large]
  %ok = icmp ne ptr %object, null
  br i1 %ok, label %allocated, label %failed
allocated:
  %result = phi ptr [%given, %alias], [%object, %made]
  %presultobject = getelementptr ptr, ptr %objects2, i64 %i
  store ptr %result, ptr %presultobject
  %pdata = getelementptr i8, ptr %result, i64 $ARRAY_DATA
  %data = load ptr, ptr %pdata
  %presultaddress = getelementptr ptr, ptr %results, i64 %i
  store ptr %data, ptr %presultaddress
  %i1 = add i64 %i, 1
  br label %allocate
failed:
  %pfailed = getelementptr ptr, ptr %objects2, i64 %i
  call void @release(ptr %objects2, ptr %pfailed)
  call void @give_back(ptr %pfree, i64 %bit)
  call void @release(ptr %held, ptr %heldend)
  ret ptr null

run:
  %entrypoint = load ptr, ptr %program
  %pconstants = getelementptr i64, ptr %program, i64 $CONSTANTS
  %constants = load ptr, ptr %pconstants
  %plong = getelementptr i64, ptr %program, i64 $RELEASE
  %long = load i64, ptr %plong
  %islong = icmp ne i64 %long, 0
  br i1 %islong, label %unlocked, label %locked
locked:
  call void %entrypoint(ptr %addresses, ptr %results, ptr %constants, ptr %memory)
  br label %ran
unlocked:
  %state = call ptr @PyEval_SaveThread()
  call void %entrypoint(ptr %addresses, ptr %results, ptr %constants, ptr %memory)
  call void @PyEval_RestoreThread(ptr %state)
  br label %ran
ran:
  call void @give_back(ptr %pfree, i64 %bit)
  store ptr %code, ptr %pcode
  store ptr %objects2, ptr %presult
  %nested = call ptr @build(ptr %pcode, ptr %presult)
  %left = load ptr, ptr %presult
  %end = getelementptr ptr, ptr %objects2, i64 %nresults
  call void @release(ptr %left, ptr %end)
  call void @release(ptr %held, ptr %heldend)
  %built = icmp ne ptr %nested, null
  br i1 %built, label %finish, label %return
finish:
  %pfinish = getelementptr i64, ptr %binding, i64 4
  %function = load ptr, ptr %pfinish
  %asis = icmp eq ptr %function, null
  br i1 %asis, label %return, label %apply
apply:
  %applied = call ptr (ptr, ...) @PyObject_CallFunctionObjArgs(ptr %function, ptr %nested, ptr null)
  call void @Py_DecRef(ptr %nested)
  ret ptr %applied
return:
  ret ptr %nested
}

define internal void @give_back(ptr %pfree, i64 %bit) nounwind {
  %free = load i64, ptr %pfree
  %all = or i64 %free, %bit
  store i64 %all, ptr %pfree
  ret void
}

; The vectorcall function. The object has the address of this function at its type's tp_vectorcall_offset and behind it
; a tuple: an array with the table, and the Python function to fall back on; or null.
define ptr @xlac_call(ptr %self, ptr %args, i64 %nargsf, ptr %kwnames) nounwind {
entry:
  %frame = alloca %Frame
  %stack = alloca [$STACK_WORDS x i64], align 64
  %ptype = getelementptr i8, ptr %self, i64 $TYPE
  %type = load ptr, ptr %ptype
  %poffset = getelementptr i8, ptr %type, i64 $TYPE_VECTORCALL_OFFSET
  %offset = load i64, ptr %poffset
  %pcall = getelementptr i8, ptr %self, i64 %offset
  %powner = getelementptr ptr, ptr %pcall, i64 1
  %owner = load ptr, ptr %powner
  %isset = icmp ne ptr %owner, null
  br i1 %isset, label %prepare, label %unset
unset:
  %r0 = call ptr @slow(ptr @fallback, ptr %self, ptr %args, i64 %nargsf, ptr %kwnames)
  ret ptr %r0
prepare:
  call void @Py_IncRef(ptr %owner)
  %nargs = and i64 %nargsf, 9223372036854775807
  %pitem0 = getelementptr i8, ptr %owner, i64 $TUPLE_ITEMS
  %item0 = load ptr, ptr %pitem0
  %ptable = getelementptr i8, ptr %item0, i64 $ARRAY_DATA
  %table = load ptr, ptr %ptable
  %words = load i64, ptr %table
  %nokw = icmp eq ptr %kwnames, null
  br i1 %nokw, label %scratch, label %keywords
keywords:
  %pnkw = getelementptr i8, ptr %kwnames, i64 $SIZE
  %nkw1 = load i64, ptr %pnkw
  br label %scratch
scratch:
  %nkw = phi i64 [0, %prepare], [%nkw1, %keywords]
  %total = add i64 %nargs, %nkw
  %fitsstack = icmp ule i64 %words, $STACK_WORDS
  br i1 %fitsstack, label %begin, label %heap
heap:
  %size = shl i64 %words, 3
  %block = call ptr @PyMem_Malloc(i64 %size)
  %got = icmp ne ptr %block, null
  br i1 %got, label %begin, label %nomemory
nomemory:
  %n = call ptr @PyErr_NoMemory()
  call void @Py_DecRef(ptr %owner)
  ret ptr null
begin:
  %addresses = phi ptr [%stack, %scratch], [%block, %heap]
  store ptr %addresses, ptr %frame
  %pends = getelementptr %Frame, ptr %frame, i64 0, i32 1
  %pobjects = getelementptr %Frame, ptr %frame, i64 0, i32 2
  %pvalues = getelementptr %Frame, ptr %frame, i64 0, i32 3
  %pheld = getelementptr %Frame, ptr %frame, i64 0, i32 4
  %first = getelementptr i64, ptr %table, i64 1
  br label %try
try:
  %binding = phi ptr [%first, %begin], [%following, %another]
  %length = load i64, ptr %binding
  %following = getelementptr i8, ptr %binding, i64 %length
  %last = icmp eq i64 %length, 0
  br i1 %last, label %miss, label %count
another:
  br label %try
count:
  %pcount = getelementptr i64, ptr %binding, i64 2
  %wantcount = load i64, ptr %pcount
  %samecount = icmp eq i64 %wantcount, %total
  %pwantkw = getelementptr i64, ptr %binding, i64 5
  %wantkw = load i64, ptr %pwantkw
  %samekw = icmp eq i64 %wantkw, %nkw
  %samelayout = and i1 %samecount, %samekw
  %names = getelementptr i64, ptr %binding, i64 $BINDING_WORDS
  br i1 %samelayout, label %name, label %another
name:
  %k = phi i64 [0, %count], [%k1, %compare]
  %kmore = icmp ult i64 %k, %nkw
  br i1 %kmore, label %compare, label %quiet
compare:
  %pnames = getelementptr i8, ptr %kwnames, i64 $TUPLE_ITEMS
  %pname = getelementptr ptr, ptr %pnames, i64 %k
  %gotname = load ptr, ptr %pname
  %pwantname = getelementptr ptr, ptr %names, i64 %k
  %wantname = load ptr, ptr %pwantname
  %samename = icmp eq ptr %gotname, %wantname
  %k1 = add i64 %k, 1
  br i1 %samename, label %name, label %another
quiet:
  %pquiet = getelementptr i64, ptr %binding, i64 3
  %quietlist = load ptr, ptr %pquiet
  %always = icmp eq ptr %quietlist, null
  br i1 %always, label %check, label %empty
empty:
  %pbusy = getelementptr i8, ptr %quietlist, i64 $SIZE
  %busy = load i64, ptr %pbusy
  %idle = icmp eq i64 %busy, 0
  br i1 %idle, label %check, label %miss
check:
  %pprogram = getelementptr i64, ptr %binding, i64 1
  %program = load ptr, ptr %pprogram
  %pparameters = getelementptr i64, ptr %program, i64 $PARAMETERS
  %parameters = load i64, ptr %pparameters
  %roundup = add i64 %parameters, $LAST_LANE
  %padded = and i64 %roundup, $LANE_MASK
  %ends = getelementptr i64, ptr %addresses, i64 %padded
  %objects = getelementptr i64, ptr %ends, i64 %padded
  %values = getelementptr i64, ptr %objects, i64 %parameters
  %held = getelementptr i64, ptr %values, i64 %parameters
  %results = getelementptr i64, ptr %held, i64 %parameters
  store ptr %ends, ptr %pends
  store ptr %objects, ptr %pobjects
  store ptr %values, ptr %pvalues
  store ptr %held, ptr %pheld
  %nodes = getelementptr i64, ptr %names, i64 %nkw
  %code = call ptr @walk(ptr %nodes, ptr %args, i64 %total, i1 false, ptr %frame)
  %fits = icmp ne ptr %code, null
  br i1 %fits, label %apart, label %unfit
unfit:
  %heldend = load ptr, ptr %pheld
  call void @release(ptr %held, ptr %heldend)
  br label %another
apart:
  %overlap = call i1 @overlapping(ptr %program, ptr %addresses, ptr %ends)
  %pfree = getelementptr i64, ptr %program, i64 $FREE
  %free = load i64, ptr %pfree
  %none = icmp eq i64 %free, 0
  %refused = or i1 %overlap, %none
  br i1 %refused, label %unfit, label %go
go:
  %r1 = call ptr @execute(ptr %binding, ptr %program, ptr %code, ptr %frame, ptr %held, ptr %results)
  br label %tidy
miss:
  %pitem1 = getelementptr ptr, ptr %pitem0, i64 1
  %function = load ptr, ptr %pitem1
  %r2 = call ptr @slow(ptr %function, ptr %self, ptr %args, i64 %nargsf, ptr %kwnames)
  br label %tidy
tidy:
  %r = phi ptr [%r1, %go], [%r2, %miss]
  call void @Py_DecRef(ptr %owner)
  br i1 %fitsstack, label %return, label %unheap
unheap:
  call void @PyMem_Free(ptr %addresses)
  br label %return
return:
  ret ptr %r
}

; function(self, *args, **kwargs), in Python
define internal ptr @slow(ptr %function, ptr %self, ptr %args, i64 %nargsf, ptr %kwnames) nounwind {
entry:
  %method = call ptr @PyMethod_New(ptr %function, ptr %self)
  %made = icmp ne ptr %method, null
  br i1 %made, label %call, label %fail
call:    ; PyObject_Vectorcall, which is no function of CPython 3.10
  %ptype = getelementptr i8, ptr %method, i64 $TYPE
  %type = load ptr, ptr %ptype
  %poffset = getelementptr i8, ptr %type, i64 $TYPE_VECTORCALL_OFFSET
  %offset = load i64, ptr %poffset
  %pcall = getelementptr i8, ptr %method, i64 %offset
  %vectorcall = load ptr, ptr %pcall
  %result = call ptr %vectorcall(ptr %method, ptr %args, i64 %nargsf, ptr %kwnames)
  call void @Py_DecRef(ptr %method)
  ret ptr %result
fail:
  ret ptr null
}

; Make an arena available: in one step, as the GIL is held.
define void @xlac_add_arena(ptr %program, i64 %number, ptr %memory) nounwind {
  %arenas = getelementptr i64, ptr %program, i64 $ARENAS
  %place = getelementptr ptr, ptr %arenas, i64 %number
  store ptr %memory, ptr %place
  %pfree = getelementptr i64, ptr %program, i64 $FREE
  %bit = shl i64 1, %number
  call void @give_back(ptr %pfree, i64 %bit)
  ret void
}

; results[0][0] = constants[0][0] + sum of parameters[i][0] for 6 parameters; a program to try the above with
define void @xlac_sample(ptr %parameters, ptr %results, ptr %constants, ptr %arena) nounwind {
entry:
  %r = load ptr, ptr %results
  %c = load ptr, ptr %constants
  %c0 = load i64, ptr %c
  store i64 %c0, ptr %arena
  br label %add
add:
  %i = phi i64 [0, %entry], [%i1, %add]
  %p = getelementptr ptr, ptr %parameters, i64 %i
  %a = load ptr, ptr %p
  %x = load i64, ptr %a
  %s = load i64, ptr %arena
  %sum = add i64 %s, %x
  store i64 %sum, ptr %arena
  %i1 = add i64 %i, 1
  %more = icmp ult i64 %i1, 6
  br i1 %more, label %add, label %done
done:
  store i64 %sum, ptr %r
  ret void
}
"""
